"""Verdicts on runs: synthetic curves whose defect is known, with noise, and real ones."""

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_digits

from advisor.facts.learning_curves import judge, judge_so_far
from advisor.facts.verdicts import (
    Divergence,
    NoisyValidation,
    Overfitting,
    Plateau,
    TooFewEpochs,
    Underfitting,
)
from benchmarks.learning_curves import converged, falling, learned_nothing, left_behind, overfitted, underfitted


def diverged(n):
    blow_up = np.maximum(0, np.arange(n) - n / 2) * 8 / n
    return falling(n, 8) + blow_up, falling(n, 8) + blow_up


def stopped_early(n):
    return falling(n, 1.5), falling(n, 1.5, end=0.05)


def stood_still(n):
    return falling(n, 12, end=0.8), falling(n, 12, end=0.85)


DEFECTS = [
    (overfitted, Overfitting),
    (left_behind, Overfitting),
    (underfitted, Underfitting),
    (learned_nothing, Underfitting),
    (diverged, Divergence),
    (stopped_early, TooFewEpochs),
    (stood_still, Plateau),
]


def kinds(metrics):
    return [type(verdict) for verdict in judge(metrics)]


def noisy(curve, noise, seed):
    return curve + np.random.default_rng(seed).normal(size=len(curve)) * noise


def run(curves, noise=0.0, seed=0):
    training, validation = curves
    return {
        "loss": list(noisy(training, noise / 2, seed)),
        "val_loss": list(noisy(validation, noise, seed + 1000)),
    }


@pytest.mark.parametrize("epochs", [10, 30, 100])
@pytest.mark.parametrize(("curves", "kind"), DEFECTS)
def test_every_defect_is_named_and_only_that(curves, kind, epochs):
    assert kinds(run(curves(epochs))) == [kind]


@pytest.mark.parametrize("epochs", [30, 100])
@pytest.mark.parametrize(("curves", "kind"), DEFECTS)
def test_noise_does_not_hide_a_defect_or_make_another(curves, kind, epochs):
    found = [kinds(run(curves(epochs), noise=0.02, seed=seed)) for seed in range(20)]
    assert found.count([kind]) >= 18
    assert all(set(one) <= {kind} for one in found if len(one) > 1)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("epochs", [5, 10, 30, 100])
def test_a_run_that_has_converged_is_not_called_overfitted_or_broken(epochs, noise):
    found = [kinds(run(converged(epochs), noise, seed)) for seed in range(20)]
    grave = [one for one in found if set(one) & {Overfitting, Underfitting, Divergence}]
    assert len(grave) <= 1


def test_noise_alone_is_no_divergence_and_no_overfitting():
    found = [kinds(run(learned_nothing(30), noise=0.2, seed=seed)) for seed in range(50)]
    assert sum(Divergence in one or Overfitting in one for one in found) <= 3


def test_figures_are_those_of_the_run():
    training = [1.0, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.16, 0.13, 0.1]
    validation = [1.0, 0.8, 0.7, 0.66, 0.65, 0.68, 0.72, 0.77, 0.83, 0.9]
    assert judge({"loss": training, "val_loss": validation}) == (
        Overfitting("val_loss", 10, best_epoch=5, best=0.65, last=0.9, training=0.1, worsened=True),
    )
    (behind,) = judge(run(left_behind(20)))
    assert not behind.worsened
    (still,) = judge(run(stood_still(40)))
    assert 8 <= still.since <= 20
    (early,) = judge(run(stopped_early(20)))
    assert early.first == pytest.approx(2.0)
    assert 0.1 < early.share < 0.2


def test_metrics_that_rise_are_judged_the_other_way_round():
    training = 1 - falling(30, 4, 0.9)
    validation = 1 - falling(30, 8, 0.9, 0.3) - 0.2 * np.arange(30) / 30
    (verdict,) = judge({"accuracy": list(training), "val_accuracy": list(validation)})
    assert isinstance(verdict, Overfitting)
    assert verdict.metric == "val_accuracy"
    assert verdict.best == pytest.approx(validation.max())
    assert verdict.best_epoch == int(validation.argmax()) + 1
    assert kinds({"accuracy": [0.1] * 20}) == [Underfitting]
    assert kinds({"accuracy": list(1 - falling(30, 1.5, 0.9))}) == [TooFewEpochs]


def test_a_metric_of_unknown_direction_says_nothing():
    assert judge({"score": list(overfitted(30)[1])}) == ()


def test_the_accuracy_decides_whether_a_gap_in_the_loss_matters():
    curves = run((falling(30, 6), falling(30, 6, end=0.4)))
    assert kinds({**curves, "accuracy": [1.0] * 30, "val_accuracy": [0.85] * 30}) == [Overfitting]
    assert Overfitting not in kinds({**curves, "accuracy": [0.99] * 30, "val_accuracy": [0.98] * 30})


def test_a_gap_that_was_there_from_the_start_is_none_of_training():
    shifted = falling(30, 6) + 1.0
    assert Overfitting not in kinds({"loss": list(falling(30, 6)), "val_loss": list(shifted)})


def test_a_poor_accuracy_tells_underfitting_where_the_first_loss_was_no_measure():
    losses = [8.3, *[2.33] * 29]
    assert kinds({"loss": losses, "accuracy": [0.1] * 30}) == [Underfitting]
    assert kinds({"loss": losses, "accuracy": [0.9] * 30}) == [Plateau]


def test_the_output_that_overfits_is_named():
    healthy, bad = run(converged(30)), run(overfitted(30))
    metrics = {**healthy, "age_loss": bad["loss"], "val_age_loss": bad["val_loss"]}
    assert [(type(verdict), verdict.metric) for verdict in judge(metrics) if isinstance(verdict, Overfitting)] == [
        (Overfitting, "val_age_loss")
    ]
    both = {**bad, "age_loss": bad["loss"], "val_age_loss": bad["val_loss"]}
    assert [verdict.metric for verdict in judge(both)] == ["val_loss"]


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["loss", "val_loss"])
def test_the_first_epoch_without_a_number_is_told(broken, name):
    metrics = {"loss": [0.9, 0.5, 0.4], "val_loss": [0.9, 0.6, 0.5]}
    metrics[name] = [0.9, broken, broken]
    (verdict,) = judge(metrics)
    assert (type(verdict), verdict.metric, verdict.epoch, verdict.best) == (Divergence, name, 2, 0.9)


def test_a_lowered_learning_rate_explains_a_standstill():
    still = run(stood_still(40))
    assert kinds({**still, "learning_rate": [1e-3] * 40}) == [Plateau]
    assert kinds({**still, "learning_rate": [1e-3] * 20 + [1e-5] * 20}) == []


def test_a_validation_loss_that_jumps_is_noisy():
    training, validation = converged(40)
    metrics = {"loss": list(training), "val_loss": list(noisy(validation, 0.6, 0))}
    verdict = next(one for one in judge(metrics) if isinstance(one, NoisyValidation))
    assert verdict.noise == pytest.approx(0.6, rel=0.4)
    both = {"loss": list(noisy(training, 0.6, 1)), "val_loss": list(noisy(validation, 0.6, 0))}
    assert NoisyValidation not in kinds(both)


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"loss": []},
        {"loss": [0.5]},
        {"loss": [0.9, 0.5, 0.7, 0.9], "val_loss": [0.5, 0.6, 0.7, 0.8]},
        {"val_loss": [0.5] * 10},
    ],
)
def test_too_little_is_said_nothing_of(metrics):
    assert judge(metrics) == ()


def test_validation_every_other_epoch_leaves_the_training_curve():
    training, _ = stopped_early(20)
    assert kinds({"loss": list(training), "val_loss": [1.0, 0.9, 0.8]}) == [TooFewEpochs]


def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return (x[order] / 16).astype("float32"), y[order]


def fitted(hidden, optimizer, *, samples=1200, epochs=20, regression=False):
    keras.utils.set_random_seed(0)
    x, y = digits()
    head = layers.Dense(1) if regression else layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((64,)), *hidden, head])
    if regression:
        model.compile(optimizer, "mse")
    else:
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    held_out = (x[1200:], y[1200:])
    history = model.fit(x[:samples], y[:samples], validation_data=held_out, epochs=epochs, verbose=0, batch_size=32)
    return history.history


def perceptron(units):
    return [layers.Dense(units, activation="relu") for _ in range(2)]


def test_a_run_that_goes_well_is_not_found_fault_with():
    assert kinds(fitted(perceptron(64), keras.optimizers.Adam(1e-3))) == []


@pytest.mark.slow
def test_a_large_net_on_few_digits_overfits():
    (verdict,) = judge(fitted(perceptron(256), keras.optimizers.Adam(3e-3), samples=100, epochs=30))
    assert isinstance(verdict, Overfitting)
    assert verdict.last > 20 * verdict.training


@pytest.mark.slow
def test_one_hidden_unit_underfits_the_digits():
    history = fitted([layers.Dense(1, activation="tanh")], keras.optimizers.Adam(0.1), epochs=40)
    assert Underfitting in kinds(history)


def test_far_too_high_a_rate_diverges():
    history = fitted(perceptron(64), keras.optimizers.SGD(10.0), epochs=6, regression=True)
    (verdict,) = judge(history)
    assert isinstance(verdict, Divergence)


@pytest.mark.slow
def test_a_rate_that_is_far_too_high_for_a_classifier_learns_nothing():
    assert kinds(fitted(perceptron(64), keras.optimizers.SGD(3.0))) == [Underfitting]


def test_too_small_a_rate_ends_too_early():
    assert kinds(fitted(perceptron(64), keras.optimizers.SGD(1e-2), epochs=10)) == [TooFewEpochs]


def so_far(curves, epochs, noise=0.0, seed=0):
    generator = np.random.default_rng(seed)
    training, validation = (
        list((curve + share * noise * generator.normal(size=len(curve)))[:epochs])
        for curve, share in zip(curves, (0.5, 1.0), strict=True)
    )
    return {type(verdict) for verdict in judge_so_far({"loss": training, "val_loss": validation})}


def test_a_run_that_goes_on_is_told_of_overfitting_soon_after_its_onset():
    curves = overfitted(30)
    onset = int(np.argmin(curves[1])) + 1
    told = next(epochs for epochs in range(1, 31) if Overfitting in so_far(curves, epochs))
    assert onset < told <= onset + 6
    assert all(Overfitting in so_far(curves, epochs) for epochs in range(told, 31))


@pytest.mark.parametrize("seed", range(5))
def test_a_run_that_goes_well_is_told_of_nothing_grave_on_its_way(seed):
    for epochs in range(1, 31):
        assert not so_far(converged(30), epochs, 0.05, seed) & {Overfitting, Underfitting, Divergence}


def test_nothing_is_said_of_the_end_of_a_run_that_goes_on():
    curves = stopped_early(20)
    assert TooFewEpochs in {type(verdict) for verdict in judge({"loss": list(curves[0])})}
    assert not any(TooFewEpochs in so_far(curves, epochs) for epochs in range(1, 21))


def test_a_standstill_takes_ten_epochs_and_a_broken_loss_none():
    told = [epochs for epochs in range(1, 15) if Underfitting in so_far(learned_nothing(30), epochs)]
    assert told == [*range(10, 15)]
    (broken,) = judge_so_far({"loss": [float("nan")]})
    assert isinstance(broken, Divergence)
