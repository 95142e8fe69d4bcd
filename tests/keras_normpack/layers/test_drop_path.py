"""`DropPath` drops whole samples, keeps the expected value, and does nothing at inference."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import DropPath
from keras_normpack.autodiff import outputs_and_gradients
from keras_normpack.testing import check_layer


def in_training(layer, inputs):
    return ops.convert_to_numpy(ops.cast(layer(inputs, training=True), "float32"))


@pytest.mark.parametrize("shape", [(4, 5), (4, 6, 3), (4, 5, 5, 2)])
def test_conforms(shape):
    check_layer(DropPath, {"rate": 0.3, "seed": 0}, shape, expected=lambda inputs, weights: inputs)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drops_whole_samples_and_scales_the_others(rate):
    samples = 4000
    outputs = in_training(DropPath(rate, seed=0), np.ones((samples, 3, 2))).reshape(samples, -1)
    assert (outputs == outputs[:, :1]).all()
    kept = outputs[:, 0] > 0
    np.testing.assert_allclose(outputs[kept], 1 / (1 - rate), rtol=1e-6)
    # Five standard deviations of a binomial share.
    assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / samples)


def test_bfloat16_does_not_shift_the_rate():
    """Uniform bfloat16 draws are multiples of 1/128, which would make this rate zero."""
    samples, rate = 20000, 0.005
    dropped = np.mean(in_training(DropPath(rate, seed=0, dtype="mixed_bfloat16"), np.ones((samples, 1))) == 0)
    assert abs(dropped - rate) < 5 * np.sqrt(rate / samples)


def test_a_dropped_sample_is_zero_even_if_the_branch_is_not_finite():
    outputs = in_training(DropPath(0.5, seed=0), np.full((64, 2), np.inf))
    assert set(outputs.ravel()) == {0.0, np.inf}


def test_gradients_are_those_of_the_scaled_samples():
    layer, ones = DropPath(0.25, seed=1), ops.ones((32, 3))
    layer.build((32, 3))
    state = [variable.value for variable in layer.non_trainable_variables]
    outputs, (gradient,) = outputs_and_gradients(
        lambda inputs: layer.stateless_call([], state, inputs, training=True)[0], [ones], ones
    )
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), ops.convert_to_numpy(outputs), rtol=1e-6)


def test_draws_differ_between_calls_and_repeat_with_the_seed():
    first, second = DropPath(0.5, seed=7), DropPath(0.5, seed=7)
    draws = [[in_training(layer, np.ones((64, 1))) for _ in range(2)] for layer in (first, second)]
    assert (draws[0][0] != draws[0][1]).any()
    np.testing.assert_array_equal(draws[0], draws[1])


def test_in_fit_every_step_draws_anew():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, DropPath(0.5, seed=0)(inputs))
    model.compile(loss="mse")
    losses = [model.train_on_batch(np.ones((16, 4)), np.zeros((16, 4))) for _ in range(4)]
    assert len(set(losses)) > 1


def test_rate_zero_changes_nothing_and_draws_nothing():
    layer = DropPath(0.0)
    inputs = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    np.testing.assert_array_equal(in_training(layer, inputs), inputs)
    assert layer.variables == []


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, 2, float("nan")])
def test_rates_outside_the_range_raise(rate):
    with pytest.raises(ValueError, match=r"`rate` of DropPath must be a number in \[0, 1\).*Received: rate="):
        DropPath(rate)
