"""How many candidates a cluster lets in, where trainings go on side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass

from advisor.race.schedule import FINALISTS, GO_ON, Budget, heat_epochs


@dataclass(frozen=True)
class Entries:
    """Who takes part.

    Attributes:
        challengers: Candidates beside the original, the most promising ones.
        seeds: Seeds that the finalists and the original are trained with.
    """

    challengers: int
    seeds: int


def opening_seeds(budget: Budget, *, seeds: int, workers: int) -> int:
    """Seeds of the original to begin with: one on every worker, and no more than a challenger can be trained with.

    Args:
        budget: What the race may cost.
        seeds: Seeds of the final, at least 1.
        workers: Trainings that go on at once, at least 1.

    Returns:
        Number of seeds, at least 1.

    Example:
    >>> opening_seeds(Budget(seconds=60), seeds=3, workers=2), opening_seeds(Budget(trials=2), seeds=3, workers=2)
    (2, 1)
    """
    fitting = seeds if budget.trials is None else math.floor(budget.trials / 2)
    return max(1, min(seeds, workers, fitting))


def trainings_left(budget: Budget, *, spent: float, seconds: float, price: float, workers: int) -> float:
    """Trainings over all epochs that the rest of a budget pays.

    Args:
        budget: What the race may cost.
        spent: Trainings so far.
        seconds: Seconds since the race began.
        price: Seconds that a training takes.
        workers: Trainings that go on at once.

    Returns:
        The number, which may be below 0.

    Example:
    >>> trainings_left(Budget(seconds=60), spent=2, seconds=20, price=10, workers=2)
    8.0
    """
    if budget.trials is not None:
        return budget.trials - spent
    assert budget.seconds is not None
    return workers * (budget.seconds - seconds) / max(price, 1e-9)


def entries(challengers: int, *, epochs: int, seeds: int, opened: int, left: float) -> Entries:
    """Who takes part for what is left of the budget, the final with all seeds reserved first.

    Args:
        challengers: Candidates beside the original.
        epochs: Epochs of a whole training.
        seeds: Seeds wanted for the final, at least 1.
        opened: Seeds that the original has been trained with.
        left: Trainings over all epochs that can be paid.

    Returns:
        As many challengers as can be paid with all seeds. Where that is not even one, a single one, with as many seeds
        as can be paid, at least 1.

    Example:
    >>> entries(12, epochs=9, seeds=3, opened=1, left=14.0)
    Entries(challengers=9, seeds=3)
    >>> entries(12, epochs=9, seeds=3, opened=1, left=3.5)
    Entries(challengers=1, seeds=2)
    """
    if challengers == 0:
        return Entries(0, seeds)
    for count in range(challengers, 0, -1):
        if _cost(count, epochs, seeds, opened) <= left:
            return Entries(count, seeds)
    paid = [count for count in range(1, seeds + 1) if _cost(1, epochs, count, opened) <= left]
    return Entries(1, max(paid, default=1))


def has_heats(challengers: int, epochs: int) -> bool:
    """Whether some are stopped on the way: where more take part than fit the final, and epochs can be parted."""
    return challengers > FINALISTS and heat_epochs(epochs) < epochs


def finalists(count: int, *, seeds: int, opened: int, left: float) -> Entries:
    """Who is in the final, for what is left of the budget after the trainings with the first seed.

    Args:
        count: Candidates beside the original that were trained over all epochs.
        seeds: Seeds wanted for the final.
        opened: Seeds that the original has been trained with.
        left: Trainings over all epochs that can be paid.

    Returns:
        First as many seeds as can be paid for one finalist, then as many finalists as can be paid with those.

    Example:
    >>> finalists(5, seeds=3, opened=2, left=7.0), finalists(5, seeds=3, opened=2, left=3.0)
    (Entries(challengers=3, seeds=3), Entries(challengers=1, seeds=3))
    """
    affordable = [s for s in range(1, seeds + 1) if _final_cost(1, s, opened) <= left]
    most = max(affordable, default=1)
    fitting = [n for n in range(1, min(count, FINALISTS) + 1) if _final_cost(n, most, opened) <= left]
    return Entries(max(fitting, default=min(count, 1)), most)


def _cost(challengers: int, epochs: int, seeds: int, opened: int) -> float:
    if not has_heats(challengers, epochs):
        return challengers + _final_cost(min(challengers, FINALISTS), seeds, opened)
    share = heat_epochs(epochs) / epochs
    # The first to arrive goes on whatever comes after it.
    going_on = min(challengers, math.ceil(challengers * GO_ON) + 1)
    return challengers * share + going_on * (1 - share) + _final_cost(min(going_on, FINALISTS), seeds, opened)


def _final_cost(challengers: int, seeds: int, opened: int) -> int:
    return challengers * (seeds - 1) + max(0, seeds - opened)
