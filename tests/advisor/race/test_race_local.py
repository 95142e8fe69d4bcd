"""The race in a study of Optuna: it resumes, is interrupted, and keeps its time."""

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import keras
import matplotlib
import numpy as np
import optuna
import optuna.visualization.matplotlib
import pytest

from advisor.race import local, records
from tests.advisor.race.small_race import candidates, known, network, small_race

ROOT = Path(__file__).parents[3]


def states(study):
    return [trial.state.name for trial in study.trials]


@pytest.fixture(scope="module")
def whole():
    """An uninterrupted race."""
    return small_race()


@pytest.mark.slow
def test_a_killed_race_goes_on_and_comes_to_the_same_result(whole, tmp_path):
    command = [sys.executable, "-m", "tests.advisor.race.small_race", str(tmp_path), "4"]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (name,) = optuna.get_all_study_names(f"sqlite:///{tmp_path / 'study.db'}")
    left = optuna.load_study(study_name=name, storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert states(left) == ["COMPLETE"] * 3 + ["RUNNING"]
    assert list(left.trials[3].intermediate_values) == [1]
    assert len(list((tmp_path / "outcomes").iterdir())) == 3

    resumed = small_race(directory=tmp_path)
    assert known(resumed) == known(whole)
    assert resumed.sentence == whole.sentence
    assert resumed.study.study_name == name
    # The three were not trained again, the one that was running was.
    assert states(resumed.study)[:5] == ["COMPLETE"] * 3 + ["FAIL", "COMPLETE"]
    assert resumed.study.trials[4].params == left.trials[3].params
    # Every number but the one that failed is a training of the whole race.
    assert len(resumed.study.trials) - 1 == len(whole.study.trials)


def test_a_race_that_is_done_is_not_run_again(tmp_path, monkeypatch):
    first = small_race(directory=tmp_path, budget="2 trials", seeds=1, candidates={"wide": network(32)})
    trained = list((tmp_path / "models").iterdir())
    assert len(trained) == 2

    def none(*_, **__):
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr(local, "train", none)
    again = small_race(directory=tmp_path, budget="2 trials", seeds=1, candidates={"wide": network(32)})
    assert known(again) == known(first)
    for ours, theirs in zip(again.model.get_weights(), first.model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    assert states(again.study) == ["COMPLETE"] * 2


@pytest.mark.slow
def test_another_model_or_a_fresh_start_takes_nothing_over(tmp_path):
    settings = {"directory": tmp_path, "budget": "2 trials", "seeds": 1}
    first = small_race(**settings, candidates={"other": network(4)})
    changed = small_race(**settings, candidates={"other": network(5)})
    # The original is the same, and is not trained again; the study is another one.
    assert changed.study.study_name != first.study.study_name
    assert len(list((tmp_path / "outcomes").iterdir())) == 3
    fresh = small_race(**settings, candidates={"other": network(5)}, resume=False)
    assert known(fresh) == known(changed)
    assert len(fresh.study.trials) == 2


def test_interrupted_it_tells_what_is_known(monkeypatch):
    train, count = local.train, itertools.count(1)

    def interrupted(*arguments, **settings):
        if next(count) == 3:
            raise KeyboardInterrupt
        return train(*arguments, **settings)

    monkeypatch.setattr(local, "train", interrupted)
    result = small_race()
    assert result.interrupted
    assert {one.name for one in result.standings} == {"original", "wide"}
    assert [one.reason for one in result.left_out] == ["the race was interrupted before its turn"]
    assert states(result.study) == ["COMPLETE"] * 2 + ["FAIL"]
    assert "interrupted after" in str(result)
    assert result.model is not None


def test_the_study_tells_every_training(whole):
    trial = whole.study.trials[0]
    assert trial.params == {"candidate": "original", "seed": 0, "epochs": 2}
    assert sorted(trial.intermediate_values) == [1, 2]
    assert trial.value == trial.intermediate_values[2]
    assert trial.user_attrs["title"] == "the original"
    assert trial.user_attrs["seconds"] > 0
    assert set(states(whole.study)) == {"COMPLETE"}


def test_optuna_draws_the_study(whole):
    with matplotlib.rc_context():
        # Optuna sets a style of its own.
        axes = optuna.visualization.matplotlib.plot_intermediate_values(whole.study)
    assert len(axes.get_lines()) == len(whole.study.trials)


def test_time_that_is_over_ends_the_race(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(local.time, "monotonic", lambda: 10.0 * next(clock))
    result = small_race(budget="25s")
    assert states(result.study)[-1] == "PRUNED"
    assert not result.interrupted


def test_a_candidate_that_explodes_is_ranked_last_and_the_race_goes_on():
    exploding = network()
    exploding.optimizer = None
    exploding.compile(keras.optimizers.SGD(1e30), "sparse_categorical_crossentropy", run_eagerly=True)
    result = small_race(candidates={"explodes": exploding, "wide": network(32)}, seeds=1)
    assert result.standings[-1].name == "explodes"
    assert "loss in epoch" in result.standings[-1].failure
    assert {one.rung for one in result.standings[:-1]} == {"final"}
    assert states(result.study).count("FAIL") == 1


def test_two_races_do_not_share_a_folder(tmp_path):
    with records.only_race_in(tmp_path), pytest.raises(ValueError, match="another race is going on"):
        small_race(directory=tmp_path, candidates={"one": candidates()["wide"]}, budget="2 trials")


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(local.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'keras-normpack\[race\]'"):
        small_race()
