"""Who is trained when: the walk through a race, with made-up outcomes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.race.schedule import FINALISTS, ORIGINAL, Budget, heat_epochs, read_budget, walk
from advisor.race.trial import Outcome, Trial


def run(challengers, choice=lambda trial: 0.0, seconds=lambda trial: float(trial.epochs), **settings):
    """All trials of a walk, in order."""
    trials = []
    steps = walk(challengers, **settings)
    trial = next(steps)
    while True:
        trials.append(trial)
        try:
            trial = steps.send(Outcome(None, choice(trial), trial.epochs, seconds(trial)))
        except StopIteration:
            return trials


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("90s", Budget(seconds=90)),
        ("5m", Budget(seconds=300)),
        ("1.5 h", Budget(seconds=5400)),
        (45, Budget(seconds=45)),
        (0.5, Budget(seconds=0.5)),
        ("20 trials", Budget(trials=20)),
        ("1 trial", Budget(trials=1)),
        (Budget(trials=3), Budget(trials=3)),
    ],
)
def test_budgets_are_read(given, expected):
    assert read_budget(given) == expected
    assert read_budget(str(expected)) == expected


@pytest.mark.parametrize("given", ["", "5 minutes", "-5m", 0, -1, "0 trials", True, None, math.inf, math.nan, "nan"])
def test_other_budgets_are_refused(given):
    with pytest.raises(ValueError, match=r"`budget` must be a time.*Received: budget="):
        read_budget(given)


def test_a_race_has_heats_a_semifinal_and_a_final():
    names = [f"c{number}" for number in range(9)]
    trials = run(
        names,
        lambda trial: -int(trial.candidate[1:] or 0) if trial.candidate != ORIGINAL else 0.0,
        epochs=6,
        seeds=3,
        budget=Budget(trials=100),
    )
    heats = [Trial(name, 0, 2) for name in names]
    semifinal = [Trial(name, 0, 6) for name in names[:3]]
    final = [Trial(name, seed, 6) for seed in (1, 2) for name in (ORIGINAL, *names[:3])]
    assert trials == [Trial(ORIGINAL, 0, 6), *heats, *semifinal, *final]


def test_the_better_ones_go_on():
    score = {"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.2, "e": 0.8, "f": 0.3}
    trials = run(
        list(score), lambda trial: score.get(trial.candidate, 0.0), epochs=9, seeds=2, budget=Budget(trials=99)
    )
    assert [trial.candidate for trial in trials if trial.epochs == 9 and trial.seed == 1] == [ORIGINAL, "b", "e"]


def test_few_challengers_go_to_the_final_at_once():
    trials = run(["a", "b"], epochs=9, seeds=2, budget=Budget(trials=6))
    assert {trial.epochs for trial in trials} == {9}
    assert len(trials) == len(set(trials)) == 6


def test_a_budget_too_small_for_heats_compares_the_most_promising_one():
    trials = run(list("abcdefgh"), epochs=9, seeds=2, budget=Budget(trials=4))
    assert trials == [Trial(ORIGINAL, 0, 9), Trial("a", 0, 9), Trial(ORIGINAL, 1, 9), Trial("a", 1, 9)]


def test_what_did_not_train_does_not_go_on():
    trials = run(
        list("abc"),
        lambda trial: -math.inf if trial.candidate == "a" else 0.0,
        epochs=9,
        seeds=2,
        budget=Budget(trials=99),
    )
    assert [trial.candidate for trial in trials if trial.seed == 1] == [ORIGINAL, "b", "c"]


def test_a_time_budget_goes_by_the_seconds_that_trainings_take():
    slow, fast = (
        run(
            [f"c{n}" for n in range(30)],
            seconds=lambda trial, s=s: s * trial.epochs,
            epochs=9,
            seeds=3,
            budget=Budget(seconds=900),
        )
        for s in (10.0, 5.0)
    )
    entered = [len({trial.candidate for trial in trials}) for trials in (slow, fast)]
    assert entered[0] < entered[1] < 31
    assert max(trial.seed for trial in slow) == 2


WALKS = st.tuples(st.integers(1, 30), st.integers(1, 20), st.integers(1, 6), st.integers(0, 2**31))


def choices(seed):
    return lambda trial: hash((seed, trial.candidate, trial.epochs)) % 1000 / 1000


@given(WALKS, st.floats(1, 200))
def test_a_budget_of_trials_is_kept(race, budget):
    number, epochs, seeds, seed = race
    names = [f"c{n}" for n in range(number)]
    trials = run(names, choices(seed), epochs=epochs, seeds=seeds, budget=Budget(trials=budget))
    # At the very least the original and one challenger are trained.
    assert sum(trial.epochs for trial in trials) <= max(budget, 2 + 1e-6) * epochs


@given(WALKS, st.floats(1, 200))
def test_a_budget_of_seconds_is_kept_when_trainings_take_their_time(race, budget):
    number, epochs, seeds, seed = race
    names = [f"c{n}" for n in range(number)]
    trials = run(names, choices(seed), epochs=epochs, seeds=seeds, budget=Budget(seconds=budget))
    assert sum(trial.epochs for trial in trials) <= max(budget + 1e-6, 2 * epochs)


@given(WALKS, st.floats(1, 200))
def test_every_race_is_fair(race, budget):
    number, epochs, seeds, seed = race
    names = [f"c{n}" for n in range(number)]
    settings = {"epochs": epochs, "seeds": seeds, "budget": Budget(trials=budget)}
    trials = run(names, choices(seed), **settings)
    assert len(trials) == len(set(trials))
    assert {trial.epochs for trial in trials} <= {epochs, heat_epochs(epochs)}
    entered = list(dict.fromkeys(trial.candidate for trial in trials if trial.candidate != ORIGINAL))
    assert entered == names[: len(entered)]
    assert entered
    in_final = [{trial.candidate for trial in trials if trial.seed == s} for s in range(1, seeds)]
    for finalists in in_final:
        assert finalists == in_final[0] or not finalists
        assert not finalists or (ORIGINAL in finalists and 2 <= len(finalists) <= FINALISTS + 1)
    assert trials == run(names, choices(seed), **settings)
