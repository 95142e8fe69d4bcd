"""Who is trained when, and how long: successive halving under a budget."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from advisor.race.trial import Outcome, Trial

ORIGINAL = "original"

HEAT_SHARE = 1 / 3
"""Share of the epochs that decides which candidates are trained over all of them."""

GO_ON = 1 / 3
"""Share of the candidates that go on from there."""

FINALISTS = 3
"""At most so many candidates are trained with all seeds, beside the original."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

Walk = Generator[Trial, Outcome, None]
"""Gives trials one by one and is sent the outcome of each."""


@dataclass(frozen=True)
class Budget:
    """What a race may cost: one of the two is given.

    Attributes:
        seconds: Seconds of training and scoring, above 0.
        trials: Trainings over all epochs, above 0; a shorter one counts by its share of the epochs.
    """

    seconds: float | None = None
    trials: float | None = None

    def __str__(self) -> str:
        if self.trials is not None:
            return f"{self.trials:g} trials"
        assert self.seconds is not None
        unit = next(unit for unit in ("h", "m", "s") if self.seconds >= _UNITS[unit] or unit == "s")
        return f"{self.seconds / _UNITS[unit]:g}{unit}"


def read_budget(budget: str | float | Budget) -> Budget:
    """A budget as a user writes it.

    Args:
        budget: `"90s"`, `"5m"`, `"1h"`, a number of seconds, or `"20 trials"`.

    Returns:
        The budget.

    Raises:
        ValueError: If it is of another form, or not above 0.

    Example:
    >>> read_budget("5m"), read_budget("20 trials").trials
    (Budget(seconds=300.0, trials=None), 20.0)
    """
    if isinstance(budget, Budget):
        return budget
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h|trials?|)\s*", str(budget))
    amount = 0.0 if found is None or isinstance(budget, bool) else float(found[1])
    if found is None or amount <= 0 or not math.isfinite(amount):
        raise ValueError(
            "`budget` must be a time such as '90s', '5m' or '1h', a number of seconds, or a number of trainings such "
            f"as '20 trials', above 0. Received: budget={budget!r}"
        )
    if found[2].startswith("trial"):
        return Budget(trials=amount)
    return Budget(seconds=amount * _UNITS[found[2] or "s"])


def heat_epochs(epochs: int) -> int:
    """Epochs of the first rung: a third, at least 1."""
    return max(1, math.ceil(epochs * HEAT_SHARE))


def walk(challengers: Sequence[str], *, epochs: int, seeds: int, budget: Budget) -> Walk:
    """The trials of a race in their order, each decided when the ones before it are done.

    The original is trained over all epochs first, with the first seed, which also tells what a training costs. Then:

    1. Heats: challengers, the most promising first, over a third of the epochs, as many as leave enough for the rest.
    2. The best third of them, over all epochs.
    3. The final: the best three of those and the original, with all further seeds.

    Where there are no more challengers than fit the final, and the budget allows, all go there at once; and so does the
    first one alone where the budget is too small for heats.

    Args:
        challengers: Names of the candidates beside the original, the most promising first.
        epochs: Epochs of a whole training, at least 1.
        seeds: Seeds of the final, at least 1; they are 0, 1, ….
        budget: What it may cost. At least the original and one challenger are trained.

    Yields:
        Trials; each must be answered with its outcome.

    Example:
    >>> race = walk(["other"], epochs=4, seeds=2, budget=Budget(trials=4))
    >>> nothing = Outcome(None, 0.0, 4, 1.0)
    >>> [next(race), *(race.send(nothing) for _ in range(3))]  # doctest: +NORMALIZE_WHITESPACE
    [Trial(candidate='original', seed=0, epochs=4), Trial(candidate='other', seed=0, epochs=4),
     Trial(candidate='original', seed=1, epochs=4), Trial(candidate='other', seed=1, epochs=4)]
    """
    account = _Account(budget, epochs)
    choices: dict[str, float] = {}

    def run(name: str, seed: int, length: int) -> Generator[Trial, Outcome, None]:
        trial = Trial(name, seed, length)
        outcome = yield trial
        account.book(trial, outcome)
        if seed == 0:
            choices[name] = outcome.choice

    def best(names: Sequence[str]) -> list[str]:
        # Stable, so that of equal ones the more promising goes first.
        return sorted((name for name in names if choices[name] > -math.inf), key=lambda name: -choices[name])

    yield from run(ORIGINAL, 0, epochs)
    final = seeds - 1
    short = heat_epochs(epochs)
    pair_of_heats = 2 * short / epochs + _after_heats(2, seeds, short < epochs)
    if len(challengers) <= FINALISTS and account.affords(len(challengers) + (len(challengers) + 1) * final):
        direct = list(challengers)
    else:
        direct = [] if account.affords(pair_of_heats) else list(challengers[:1])
    if direct:
        for name in direct:
            yield from run(name, 0, epochs)
        finalists = best(direct)
    else:
        entered: list[str] = []
        for name in challengers:
            if entered and not account.affords(short / epochs + _after_heats(len(entered) + 1, seeds, short < epochs)):
                break
            yield from run(name, 0, short)
            entered.append(name)
        semifinalists = best(entered)[: _going_on(len(entered))]
        if short < epochs:
            ran: list[str] = []
            for name in semifinalists:
                if ran and not account.affords(1 + (min(len(ran) + 1, FINALISTS) + 1) * final):
                    break
                yield from run(name, 0, epochs)
                ran.append(name)
            semifinalists = ran
        finalists = best(semifinalists)[:FINALISTS]
    while len(finalists) > 1 and not account.affords((len(finalists) + 1) * final):
        finalists = finalists[:-1]
    for seed in range(1, seeds):
        if not account.affords(len(finalists) + 1):
            # Half a seed could not be compared.
            break
        for name in (ORIGINAL, *finalists):
            yield from run(name, seed, epochs)


def _going_on(entered: int) -> int:
    return math.ceil(entered * GO_ON)


def _after_heats(entered: int, seeds: int, has_semifinal: bool) -> float:
    """Trainings that follow when so many have entered."""
    going_on = _going_on(entered)
    return going_on * has_semifinal + (min(going_on, FINALISTS) + 1) * (seeds - 1)


class _Account:
    """What has been spent, in trainings or in seconds, and what further trainings would cost."""

    def __init__(self, budget: Budget, epochs: int) -> None:
        self._budget, self._epochs = budget, epochs
        self._trainings = self._seconds = 0.0

    def book(self, trial: Trial, outcome: Outcome) -> None:
        self._trainings += trial.epochs / self._epochs
        self._seconds += outcome.seconds

    def affords(self, trainings: float) -> bool:
        """Whether that many trainings over all epochs fit what is left, at the price so far."""
        if self._budget.trials is not None:
            return self._trainings + trainings <= self._budget.trials + 1e-9
        assert self._budget.seconds is not None
        return self._seconds * (1 + trainings / self._trainings) <= self._budget.seconds
