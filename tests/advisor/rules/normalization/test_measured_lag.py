"""N112 on averages that were measured to lag, and what T505 makes of them."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise
from keras_normpack import recompute_batch_statistics

X = np.random.default_rng(0).normal(5.0, 3.0, (256, 4)).astype("float32")
LONG = {"steps_per_epoch": 1000, "epochs": 100}
OVERFITTED = {"loss": [1 / (1 + n) for n in range(20)], "val_loss": [1 / (1 + n) + 0.05 * n for n in range(20)]}


def trained(momentum=0.99):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(momentum=momentum), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], epochs=1, verbose=0)
    return model


def findings(model, select="N112", data=X, **arguments):
    return advise(model, data=data, select=select, **{**LONG, **arguments}).findings


def test_a_lag_is_reported_though_the_planned_run_is_long_enough():
    (finding,) = findings(trained())
    (measured,) = finding.measurements
    assert measured.value > measured.threshold == pytest.approx(0.1)
    assert finding.severity == "warning"
    assert finding.fix is None
    assert [change.kind for change in finding.plan] == ["batch_statistics"]
    assert f"{measured.value:.2g} deviations" in finding.message


def test_in_a_short_run_the_fix_lowers_the_momentum():
    (finding,) = findings(trained(), steps_per_epoch=10, epochs=10)
    assert finding.measurements
    assert "momentum=0.5" in finding.fix.title


def test_averages_that_are_right_are_not_reported_and_few_samples_decide_less():
    model = trained()
    recompute_batch_statistics(model, X, batch_size=256)
    assert findings(model) == ()
    norm = model.layers[0]
    norm.moving_mean.assign(norm.moving_mean + 0.15 * np.sqrt(norm.moving_variance))
    assert [finding.layer for finding in findings(model)] == [norm.name]
    few = X[np.argsort(np.abs(X[:, 0] - X[:, 0].mean()))[:32]]
    assert all(finding.measurements[0].threshold > 0.25 for finding in findings(model, data=few))


def test_a_model_that_was_never_trained_has_no_lag():
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization()])
    assert findings(model) == ()


def test_overfitting_is_doubted_while_the_averages_lag():
    (doubted,) = findings(trained(), select="T505", history=OVERFITTED)
    assert doubted.severity == "info"
    assert "lag (N112)" in doubted.why
    model = trained()
    recompute_batch_statistics(model, X, batch_size=256)
    (sure,) = findings(model, select="T505", history=OVERFITTED)
    assert sure.severity == "warning"
    assert "N112" not in sure.why
