"""How many enter a race on a cluster: no more than can be paid, and no fewer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.race.entries import entries, finalists, has_heats, opening_seeds, trainings_left
from advisor.race.schedule import FINALISTS, Budget, heat_epochs


def most_it_can_cost(challengers, epochs, seeds, opened):
    """Where ASHA lets as many go on as it is counted with."""
    going_on = challengers
    if has_heats(challengers, epochs):
        going_on = min(challengers, math.ceil(challengers / 3) + 1)
    share = heat_epochs(epochs) / epochs
    first = going_on + (challengers - going_on) * share
    return first + min(going_on, FINALISTS) * (seeds - 1) + max(0, seeds - opened)


settings = {
    "challengers": st.integers(1, 20),
    "epochs": st.integers(1, 30),
    "seeds": st.integers(1, 5),
    "opened": st.integers(1, 5),
    "left": st.floats(-5, 80),
}


@given(**settings)
def test_what_enters_can_be_paid_and_one_more_could_not(challengers, epochs, seeds, opened, left):
    opened = min(opened, seeds)
    entered = entries(challengers, epochs=epochs, seeds=seeds, opened=opened, left=left)
    assert 1 <= entered.challengers <= challengers
    assert 1 <= entered.seeds <= seeds
    cost = most_it_can_cost(entered.challengers, epochs, entered.seeds, opened)
    # The original is compared with something, whatever it costs.
    assert cost <= left + 1e-9 or (entered.challengers, entered.seeds) == (1, 1)
    if entered.challengers < challengers:
        assert most_it_can_cost(entered.challengers + 1, epochs, seeds, opened) > left - 1e-9
    if entered.seeds < seeds:
        assert entered.challengers == 1
        assert most_it_can_cost(1, epochs, entered.seeds + 1, opened) > left - 1e-9


@given(count=st.integers(0, 9), seeds=settings["seeds"], opened=settings["opened"], left=settings["left"])
def test_a_final_can_be_paid(count, seeds, opened, left):
    opened = min(opened, seeds)
    final = finalists(count, seeds=seeds, opened=opened, left=left)
    assert min(count, 1) <= final.challengers <= min(count, FINALISTS)
    cost = final.challengers * (final.seeds - 1) + max(0, final.seeds - opened)
    assert cost <= left or final.seeds == 1


def test_seeds_come_before_finalists():
    assert finalists(3, seeds=3, opened=1, left=4.0).seeds == 3
    assert finalists(3, seeds=3, opened=1, left=4.0).challengers == 1
    assert finalists(3, seeds=3, opened=1, left=6.0).challengers == 2


@pytest.mark.parametrize(("challengers", "epochs", "expected"), [(3, 9, False), (4, 9, True), (9, 1, False)])
def test_nobody_is_stopped_where_all_fit_the_final_or_there_is_one_epoch(challengers, epochs, expected):
    assert has_heats(challengers, epochs) is expected


@pytest.mark.parametrize(
    ("budget", "seeds", "workers", "expected"),
    [
        (Budget(seconds=60), 3, 1, 1),
        (Budget(seconds=60), 3, 8, 3),
        (Budget(trials=100), 3, 2, 2),
        (Budget(trials=5), 3, 8, 2),
        (Budget(trials=1), 3, 8, 1),
    ],
)
def test_the_race_opens_with_the_original_on_every_worker(budget, seeds, workers, expected):
    assert opening_seeds(budget, seeds=seeds, workers=workers) == expected


def test_time_pays_for_all_workers_and_trials_do_not():
    known = {"spent": 3.0, "seconds": 30.0, "price": 10.0}
    assert trainings_left(Budget(seconds=90), workers=1, **known) == 6
    assert trainings_left(Budget(seconds=90), workers=4, **known) == 24
    assert trainings_left(Budget(trials=10), workers=4, **known) == 7
