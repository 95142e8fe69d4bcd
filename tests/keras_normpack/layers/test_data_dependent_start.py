"""The data-dependent start of `WeightNormalization`: by `initialize` everywhere, in `fit` where the backend lets it."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_normpack import WeightNormalization
from tests.keras_normpack.layers.linear_layers import EXACT, batch, linear_layers, numpy, randomize

in_training = pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX drops assignments made in a step")


def bias_free(layer, kernel, inputs):
    """What the layer's own code gives with this kernel and no bias."""
    plain = type(layer).from_config({**layer.get_config(), "activation": None})
    plain.build(inputs.shape)
    plain.kernel.assign(kernel)
    return numpy(plain(inputs))


def assert_same(actual, desired, **tolerances):
    for ours, theirs in zip(actual, desired, strict=True):
        np.testing.assert_allclose(ours, theirs, **{"rtol": 0, **tolerances})


@linear_layers
def test_the_batch_comes_out_with_mean_zero_and_variance_one(make, shape, summed):
    wrapper = WeightNormalization(make(activation="relu", dtype="float64"))
    inputs = batch(shape)
    wrapper.build(shape)
    direction = numpy(wrapper.v)
    wrapper.initialize(inputs)
    outputs = numpy(wrapper(inputs))
    bias = numpy(wrapper.layer.bias)
    before_activation = bias_free(wrapper.layer, wrapper.remove().kernel, inputs) + bias
    others = tuple(range(before_activation.ndim - bias.ndim))
    np.testing.assert_allclose(before_activation.mean(others), 0.0, atol=EXACT)
    np.testing.assert_allclose(before_activation.var(others), 1.0, rtol=5 * EXACT)
    np.testing.assert_allclose(outputs, np.maximum(before_activation, 0.0), atol=EXACT)
    np.testing.assert_array_equal(numpy(wrapper.v), direction)
    assert bool(numpy(wrapper.initialized))


def test_channels_first_is_started_per_channel():
    wrapper = WeightNormalization(layers.Conv2D(4, 3, data_format="channels_first"))
    inputs = batch((4, 3, 8, 8))
    wrapper.initialize(inputs)
    outputs = numpy(wrapper(inputs))
    np.testing.assert_allclose(outputs.mean((0, 2, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(outputs.var((0, 2, 3)), 1.0, rtol=1e-5)


def test_separable_convolutions_have_a_length_per_kernel():
    wrapper = WeightNormalization(layers.SeparableConv2D(4, 3, depth_multiplier=2))
    inputs = batch((4, 7, 7, 5))
    wrapper.initialize(inputs)
    outputs = numpy(wrapper(inputs))
    assert [variable.name for variable in wrapper.trainable_variables[:2]] == ["depthwise_g", "pointwise_g"]
    assert [tuple(variable.shape) for variable in wrapper.trainable_variables[:2]] == [(5, 2), (4,)]
    np.testing.assert_allclose(outputs.mean((0, 1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(outputs.var((0, 1, 2)), 1.0, rtol=1e-5)
    np.testing.assert_allclose(numpy(wrapper.remove()(inputs)), outputs, atol=1e-5)


def test_without_bias_only_the_variance_is_set():
    wrapper = WeightNormalization(layers.Dense(4, use_bias=False))
    wrapper.initialize(batch((64, 5)))
    np.testing.assert_allclose(numpy(wrapper(batch((64, 5)))).var(0), 1.0, rtol=1e-5)


def test_a_channel_that_is_constant_over_the_batch_keeps_its_length():
    wrapper = WeightNormalization(layers.Dense(4))
    wrapper.build((1, 5))
    length = numpy(wrapper.g)
    wrapper.initialize(batch((1, 5)))
    np.testing.assert_array_equal(numpy(wrapper.g), length)
    np.testing.assert_allclose(numpy(wrapper(batch((1, 5)))), 0.0, atol=1e-5)


def test_masked_positions_do_not_count():
    wrapper = WeightNormalization(layers.Dense(4, dtype="float64"))
    mask = np.arange(6) < np.array([[6], [2], [4], [1]])
    inputs = np.where(mask[..., None], batch((4, 6, 5)), 1e3)
    wrapper.initialize(inputs, mask)
    outputs = numpy(wrapper(inputs))[mask]
    np.testing.assert_allclose(outputs.mean(0), 0.0, atol=EXACT)
    np.testing.assert_allclose(outputs.var(0), 1.0, rtol=5 * EXACT)


@in_training
def test_in_training_the_mask_comes_with_the_inputs():
    wrapper = WeightNormalization(layers.Dense(4))
    inputs = batch((4, 6, 5)).astype("float32")
    inputs[:, 4:] = 0.0
    wrapper(layers.Masking()(keras.ops.convert_to_tensor(inputs)), training=True)
    outputs = numpy(wrapper(inputs))[:, :4]
    np.testing.assert_allclose(outputs.mean((0, 1)), 0.0, atol=1e-5)
    np.testing.assert_allclose(outputs.var((0, 1)), 1.0, rtol=1e-4)


@in_training
def test_only_the_first_training_batch_starts():
    wrapper, desired = WeightNormalization(layers.Dense(4)), WeightNormalization(layers.Dense(4))
    wrapper(batch((64, 5)))
    assert not bool(numpy(wrapper.initialized))
    desired.build((64, 5))
    desired.set_weights(wrapper.get_weights())
    desired.initialize(batch((64, 5)))
    for inputs in (batch((64, 5)), 10 * batch((64, 5)) + 3):
        wrapper(inputs, training=True)
        assert_same(wrapper.get_weights(), desired.get_weights(), rtol=1e-6, atol=1e-7)


def test_switched_off_or_frozen_nothing_is_started():
    frozen = WeightNormalization(layers.Dense(4), trainable=False)
    inner = WeightNormalization(layers.Dense(4, trainable=False))
    for wrapper in (WeightNormalization(layers.Dense(4), data_init=False), frozen, inner):
        wrapper.build((64, 5))
        before = wrapper.get_weights()
        wrapper(batch((64, 5)), training=True)
        assert_same(wrapper.get_weights(), before)


@in_training
@pytest.mark.parametrize("jit_compile", [False, "auto"])
def test_in_fit_the_first_batch_starts_and_both_parts_train(jit_compile):
    inputs = batch((64, 5)).astype("float32")
    wrapper = WeightNormalization(layers.Dense(4))
    model = keras.Sequential([keras.Input((5,)), wrapper])
    desired = WeightNormalization(layers.Dense(4))
    desired.build((64, 5))
    desired.set_weights(wrapper.get_weights())
    desired.initialize(inputs)
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=jit_compile)
    model.fit(inputs, np.ones((64, 4)), batch_size=64, epochs=2, verbose=0)
    assert_same(wrapper.get_weights(), desired.get_weights(), rtol=1e-4, atol=1e-6)
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
    model.fit(inputs, np.ones((64, 4)), verbose=0)
    assert (numpy(wrapper.g) != numpy(desired.g)).any()
    assert (numpy(wrapper.v) != numpy(desired.v)).any()


def test_a_start_made_by_hand_stands_in_fit():
    """The way to start on JAX, which drops what is assigned in a step."""
    inputs = batch((64, 5)).astype("float32")
    wrapper = WeightNormalization(layers.Dense(4))
    model = keras.Sequential([keras.Input((5,)), wrapper])
    wrapper.initialize(inputs)
    before = wrapper.get_weights()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(2 * inputs, np.ones((64, 4)), epochs=2, verbose=0)
    assert_same(wrapper.get_weights(), before)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(inputs, np.ones((64, 4)), verbose=0)
    assert (numpy(wrapper.g) != before[0]).any()
    assert bool(numpy(wrapper.initialized))


def test_the_start_survives_saving_and_is_not_made_again(tmp_path):
    wrapper = WeightNormalization(layers.Dense(4))
    model = keras.Sequential([keras.Input((5,)), wrapper])
    wrapper.initialize(batch((64, 5)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    loaded(5 * batch((64, 5)), training=True)
    assert_same(loaded.get_weights(), model.get_weights())


@in_training
def test_a_wrapper_called_twice_in_a_step_starts_at_the_first_call_and_trains():
    inputs = [keras.Input((5,)), keras.Input((5,))]
    wrapper = WeightNormalization(layers.Dense(4))
    model = keras.Model(inputs, layers.add([wrapper(branch) for branch in inputs]))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit([batch((64, 5)), 7 * batch((64, 5))], np.ones((64, 4)), batch_size=64, epochs=2, verbose=0)
    np.testing.assert_allclose(numpy(wrapper(batch((64, 5)))).var(0), 1.0, rtol=1e-4)


@pytest.mark.parametrize("length", [6, None])
def test_inside_time_distributed_the_first_step_starts(length):
    wrapper = WeightNormalization(layers.Conv1D(4, 3))
    inputs = keras.Input((length, 9, 5))
    model = keras.Model(inputs, layers.TimeDistributed(wrapper)(inputs))
    values = batch((4, 6, 9, 5)).astype("float32")
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(values, np.ones((4, 6, 7, 4)), verbose=0)
    if keras.backend.backend() != "jax":
        np.testing.assert_allclose(numpy(wrapper(values[:, 0])).var((0, 1)), 1.0, rtol=1e-4)
    randomize(wrapper)
    desired = [numpy(wrapper.remove()(values[:, step])) for step in range(6)]
    np.testing.assert_allclose(numpy(model(values)), np.stack(desired, axis=1), rtol=1e-4, atol=1e-4)


def test_a_bias_that_is_not_per_channel_is_refused_with_data_initialization():
    def make(data_init):
        layer = layers.EinsumDense("abc,cd->abd", (3, 4), bias_axes="bd", name="projection")
        return WeightNormalization(layer, data_init=data_init)

    with pytest.raises(ValueError, match=r"'projection', 4 in all; pass data_init=False. Received: .*\(3, 4\)"):
        make(True).build((2, 3, 5))
    make(False).build((2, 3, 5))
