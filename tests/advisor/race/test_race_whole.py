"""Races as a user runs them."""

import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise
from tests.advisor.race.small_race import TRAINING, VALIDATION, known, network, samples, small_race

ROOT = Path(__file__).parents[3]


def test_candidates_of_the_findings_are_raced(capsys):
    model = network()
    before = model.get_weights()
    advice = advise(model, batch_size=40, data=TRAINING, validation_data=VALIDATION, epochs=2, verbose=0)
    result = advice.race(TRAINING, VALIDATION, budget="2 trials", seeds=1, verbose=1)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert [one.name for one in result.standings if one.rung != "heats"].count("as-advised") == 1
    assert result.left_out
    assert (result.samples, result.seeds, result.epochs) == (60, 1, 2)
    shown = capsys.readouterr().err
    assert re.search(r"original, seed 0, 2 epochs: accuracy \d+\.\d% \(\d+ s\)", shown)


def test_a_model_that_is_as_good_as_the_other_is_not_called_better():
    result = small_race(candidates={"twin": (network(), None), "wide": network(32)}, budget="3 trials", seeds=1)
    assert {one.verdict for one in result.standings} == {None, "no measurable difference"}
    assert "cannot be told apart from luck" in result.sentence
    assert [one.reason for one in result.left_out] == ["it is the same as original"]


def test_the_winners_model_has_its_score():
    result = small_race(budget="2 trials", seeds=1, candidates={"wide": network(32)})
    best = max(next(one for one in result.standings if one.name == result.winner).values)
    x, y = VALIDATION[0][1::2], VALIDATION[1][1::2]
    right = result.model.predict(x, verbose=0).argmax(-1) == y
    assert 100 * right.mean() == pytest.approx(best)
    assert result.model.compiled


@pytest.mark.slow
def test_a_regression_is_raced_by_its_loss():
    x = TRAINING[0]
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu"), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    advice = advise(model, batch_size=40, epochs=2, select="T501", verbose=0)
    result = advice.race((x, x[:, 0]), (x, x[:, 0]), budget="2 trials", seeds=1)
    assert result.metric == "loss"
    assert all(one.mean > 0 for one in result.standings)


def test_what_is_not_read_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="`budget` must be"):
        small_race(directory=tmp_path / "new", budget="soon")
    with pytest.raises(ValueError, match="`seeds` must be"):
        small_race(directory=tmp_path / "new", seeds=0)
    with pytest.raises(ValueError, match="`engine` must be one of local, ray"):
        small_race(directory=tmp_path / "new", engine="spark")
    with pytest.raises(TypeError, match="`candidates` must be"):
        small_race(directory=tmp_path / "new", candidates=[network()])
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="`directory` must be a folder"):
        small_race(directory=tmp_path / "file")


def test_a_model_without_a_loss_that_can_be_inferred_is_refused():
    advice = advise(keras.Sequential([keras.Input((6,)), layers.Dense(2)]), verbose=0)
    with pytest.raises(ValueError, match=r"is not compiled and its loss cannot be inferred.*Received"):
        advice.race(TRAINING, VALIDATION)


@pytest.mark.slow
def test_twice_the_same_race_is_the_same():
    settings = {"budget": "3 trials", "seeds": 1, "candidates": {"wide": network(32), "narrow": network(2)}}
    assert known(small_race(**settings)) == known(small_race(**settings))


@pytest.mark.slow
def test_other_backends_race_too():
    code = (
        "import keras; assert keras.backend.backend() == 'jax';"
        "from tests.advisor.race.small_race import *;"
        "from keras import layers;"
        "make = lambda: keras.Sequential([keras.Input((6,)), layers.Dense(8, 'relu'), layers.Dense(2, 'softmax')]);"
        "model = make(); model.compile('adam', 'sparse_categorical_crossentropy');"
        "wide = keras.Sequential([keras.Input((6,)), layers.Dense(32, 'relu'), layers.Dense(2, 'softmax')]);"
        "advice = advise(model, batch_size=40, epochs=3, verbose=0);"
        "runs = [advice.race(TRAINING, VALIDATION, budget='4 trials', seeds=2, candidates={'wide': wide})"
        " for _ in range(2)];"
        "assert known(runs[0]) == known(runs[1]);"
        "print(runs[0]); assert runs[0].model is not None"
    )
    import os

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "original" in done.stdout


@pytest.mark.slow
def test_a_network_that_learns_more_is_called_better():
    """The labels are a product, which no linear model can tell."""
    training, validation = samples(2000), samples(2000)
    linear = keras.Sequential([keras.Input((6,)), layers.Dense(2, activation="softmax")])
    linear.compile("adam", "sparse_categorical_crossentropy")
    wide = keras.Sequential(
        [keras.Input((6,)), layers.Dense(64, activation="relu"), layers.Dense(2, activation="softmax")]
    )
    advice = advise(linear, batch_size=32, epochs=20, select="T501", verbose=0)
    result = advice.race(training, validation, budget="6 trials", candidates={"wide": wide})
    assert result.winner == "wide"
    assert result.standings[0].verdict == "better"
    assert result.sentence.startswith("Wide beats the original by ")
