"""The stages of a race on a cluster, with outcomes that are made up; test_cluster.py has real ones."""

import importlib.util

import keras
import numpy as np
import pytest

from advisor.race import records
from advisor.race.candidate import Candidate
from advisor.race.cluster import RayEngine, _Race
from advisor.race.data import race_data
from advisor.race.engine import Course
from advisor.race.live import Silence
from advisor.race.schedule import ORIGINAL, Budget, heat_epochs
from advisor.race.scoring import scorer_for
from advisor.race.trial import Outcome, Trial

NAMES = list("abcdefgh")


def network(name):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name=name)
    model.compile("sgd", "mse")
    return model


def course(directory, trials, epochs=6, seeds=3, names=NAMES):
    models = {name: network(name) for name in (ORIGINAL, *names)}
    data = race_data((np.zeros((4, 2)), np.zeros((4, 1))), (np.zeros((8, 2)), np.zeros((8, 1))), None)
    candidates = [Candidate(name, name, model, None) for name, model in models.items()]
    scorer = scorer_for(models[ORIGINAL], "mse", data.choosing, 4)
    return Course(tuple(candidates), data, scorer, epochs, seeds, Budget(trials=trials), directory)


class Promptly:
    """Workers who are done at once: of those that can be stopped, the best third goes on."""

    workers = 2

    def __init__(self, race_course, quality):
        self.stages, self._course, self._quality = [], race_course, quality

    def run(self, trials, *, halving):
        self.stages.append(list(trials))
        ranked = sorted(trials, key=lambda trial: -self._quality[trial.candidate])
        go_on = ranked[: -(-len(trials) // 3)] if halving else ranked
        shorter = {trial._replace(epochs=heat_epochs(trial.epochs)): self._outcome(trial) for trial in trials}
        whole = {trial: self._outcome(trial) for trial in go_on}
        for trial, outcome in whole.items():
            records.keep(self._course, trial, outcome)
        return (shorter if halving else {}) | whole

    def _outcome(self, trial):
        quality = self._quality[trial.candidate]
        return Outcome(np.full(4, quality), quality, trial.epochs, 1.0)


def raced(race_course, quality):
    workers, race = Promptly(race_course, quality), _Race(race_course, Silence())
    race.run(workers, lambda: False)
    return race, workers.stages


QUALITY = dict(zip([ORIGINAL, *NAMES], [0.5, 0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6], strict=True))


def test_the_original_opens_all_follow_and_the_best_three_are_compared_over_all_seeds(tmp_path):
    race, (opening, heats, final) = raced(course(tmp_path, trials=30), QUALITY)
    assert opening == [Trial(ORIGINAL, 0, 6), Trial(ORIGINAL, 1, 6)]
    assert heats == [Trial(name, 0, 6) for name in NAMES]
    assert final == [*(Trial(name, 1, 6) for name in "bdf"), *(Trial(name, 2, 6) for name in (ORIGINAL, *"bdf"))]
    # Of what went on, only the whole training counts.
    assert {trial for trial in race.outcomes if trial.seed == 0} == {
        *(Trial(name, 0, 6) for name in (ORIGINAL, *"bdf")),
        *(Trial(name, 0, 2) for name in "acegh"),
    }
    assert any("stopped early" in note for note in race.notes(0))


@pytest.mark.parametrize("trials", [1, 2, 4, 7, 10, 15])
@pytest.mark.parametrize("seeds", [1, 3])
def test_a_budget_is_kept_and_something_is_compared(tmp_path, trials, seeds):
    race, _ = raced(course(tmp_path, trials=trials, seeds=seeds), QUALITY)
    assert sum(trial.epochs / 6 for trial in race.outcomes) <= max(trials, 2) + 1e-9
    assert {Trial(ORIGINAL, 0, 6), *race.outcomes} == set(race.outcomes)
    compared = [name for name in NAMES if Trial(name, 0, 6) in race.outcomes]
    assert compared
    # A finalist is trained with every seed that the original is trained with.
    full = {trial.seed for trial in race.outcomes if trial.candidate == ORIGINAL}
    assert any({t.seed for t in race.outcomes if t.candidate == name} >= full for name in compared)


def test_few_challengers_are_not_stopped(tmp_path):
    _, stages = raced(course(tmp_path, trials=30, names=["a", "b"]), QUALITY)
    assert [len(stage) for stage in stages] == [2, 2, 5]


def test_a_race_without_challengers_trains_the_original(tmp_path):
    race, _ = raced(course(tmp_path, trials=30, names=[]), QUALITY)
    assert set(race.outcomes) == {Trial(ORIGINAL, seed, 6) for seed in range(3)}


def test_what_did_not_train_is_in_no_final(tmp_path):
    race, stages = raced(course(tmp_path, trials=30), {**QUALITY, "b": -np.inf, "d": -np.inf, "f": -np.inf})
    assert not {trial.candidate for trial in stages[-1]} & set("bdf")
    assert race.outcomes


def test_stopped_ones_are_not_raced_again_and_an_end_before_their_time_is_no_stop(tmp_path):
    raced(course(tmp_path, trials=30), QUALITY)
    race, stages = raced(course(tmp_path, trials=30), QUALITY)
    assert {trial.candidate for trial in race.outcomes if trial.epochs == 2} == set("acegh")
    assert stages == []

    class Ended(Promptly):
        is_over = False

        def run(self, trials, *, halving):
            outcomes = super().run(trials, halving=halving)
            self.is_over = halving
            return outcomes

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ended_course = course(elsewhere, trials=30)
    ended = Ended(ended_course, QUALITY)
    _Race(ended_course, Silence()).run(ended, lambda: ended.is_over)
    _, stages = raced(course(elsewhere, trials=30), QUALITY)
    assert {trial.candidate for trial in stages[0]} == set("acegh")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'keras-normpack\[ray\]'.*Received: engine='ray'"):
        RayEngine()
