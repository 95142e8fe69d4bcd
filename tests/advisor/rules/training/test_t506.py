"""What T504, T506 and R304 make of measurements beyond their cases."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(128, 16)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def codes(model, select, **arguments):
    return [finding.code for finding in advise(model, select=select, verbose=0, **arguments).findings]


def network(*hidden, head="softmax"):
    return keras.Sequential([keras.Input((16,)), *hidden, layers.Dense(2, activation=head)])


def test_vanished_gradients_are_left_alone_on_a_trained_model():
    deep = [layers.Dense(16, activation="sigmoid") for _ in range(10)]
    model = network(*deep)
    assert codes(model, "T506", data=(X, Y)) == ["T506"]
    assert codes(model, "T506", data=(X, Y), trained=True) == []


def test_without_data_it_is_not_run_and_without_labels_only_activations_are_judged():
    deep = network(*[layers.Dense(16, activation="sigmoid") for _ in range(10)])
    assert [rule.missing for rule in advise(deep, select="T506").not_run] == [("data",)]
    assert codes(deep, "T506", data=X) == []


def test_gates_may_saturate():
    large = keras.initializers.RandomNormal(stddev=5.0, seed=1)
    inputs = keras.Input((16,))
    gate = layers.Dense(16, activation="sigmoid", kernel_initializer=large)(inputs)
    gated = keras.Model(inputs, layers.Dense(2)(layers.Multiply()([layers.Dense(16)(inputs), gate])))
    plain = network(layers.Dense(16, activation="sigmoid", kernel_initializer=large))
    assert codes(gated, "T506", data=(X, Y)) == []
    assert codes(plain, "T506", data=(X, Y)) == ["T506"]


def test_a_block_that_starts_from_zeros_is_no_vanished_gradient():
    inputs = keras.Input((16,))
    maps = layers.Dense(16, activation="relu")(inputs)
    for _ in range(4):
        branch = layers.Dense(16, activation="relu", kernel_initializer="he_normal")(maps)
        maps = layers.Add()([maps, layers.Dense(16, kernel_initializer="zeros")(branch)])
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(maps))
    assert codes(model, ["T504", "T506"], data=(X, Y)) == []


def test_redrawn_weights_bring_the_gradient_back():
    tiny = keras.initializers.RandomNormal(stddev=0.01, seed=1)
    model = network(*[layers.Dense(16, activation="relu", kernel_initializer=tiny) for _ in range(6)])
    advice = advise(model, data=(X, Y), select="T506", verbose=0)
    (before,) = advice.findings[0].measurements
    assert before.value < before.threshold
    assert codes(advice.apply(), "T506", data=(X, Y)) == []


@pytest.mark.parametrize("y", [Y, None])
def test_a_strong_penalty_is_cleared_by_the_data_only(y):
    model = network(layers.Dense(16, activation="relu", kernel_regularizer="l2"))
    data = X if y is None else (X, y)
    (finding,) = advise(model, data=data, select="R304", verbose=0).findings
    assert (finding.severity, finding.fix is None) == (("info", True) if y is not None else ("warning", False))


def test_a_penalty_on_weights_that_a_normalization_rescales_does_not_count():
    penalized = layers.Dense(16, use_bias=False, kernel_regularizer="l2")
    assert codes(network(penalized, layers.BatchNormalization(), layers.ReLU()), "R304") == []


def test_transforms_that_start_from_the_identity_may_be_zero():
    class Sampler(layers.Layer):
        def call(self, x):
            return x

    localization = layers.Dense(6, kernel_initializer="zeros")
    model = network(layers.Dense(8, activation="relu"), localization, Sampler(), layers.Dense(4, activation="relu"))
    assert codes(model, "T504") == []


@pytest.mark.parametrize("seconds", [-1, "long", None])
def test_the_time_for_measuring_must_be_a_number(seconds):
    with pytest.raises(ValueError, match="`probe_seconds` must be"):
        advise(network(), probe_seconds=seconds)
