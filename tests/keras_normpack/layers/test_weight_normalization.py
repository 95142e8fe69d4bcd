"""`WeightNormalization`: its formula, its data-dependent start, and what a wrapper owes to the layer it wraps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_normpack import WeightNormalization
from keras_normpack.testing import check_layer

# Layer, shape of its inputs, axes of its kernel that are summed over for one output channel.
SUPPORTED = [
    (lambda **kw: layers.Dense(4, **kw), (16, 5), (0,)),
    (lambda **kw: layers.Dense(4, **kw), (16, 3, 5), (0,)),
    (lambda **kw: layers.Conv1D(4, 3, **kw), (4, 9, 5), (0, 1)),
    (lambda **kw: layers.Conv2D(4, 3, strides=2, **kw), (4, 9, 8, 5), (0, 1, 2)),
    (lambda **kw: layers.Conv2D(4, 3, groups=2, **kw), (4, 6, 6, 6), (0, 1, 2)),
    (lambda **kw: layers.Conv3D(4, 2, **kw), (4, 4, 5, 4, 3), (0, 1, 2, 3)),
    (lambda **kw: layers.Conv1DTranspose(4, 3, **kw), (4, 6, 5), (0, 2)),
    (lambda **kw: layers.Conv2DTranspose(4, 3, strides=2, **kw), (4, 5, 5, 3), (0, 1, 3)),
    (lambda **kw: layers.Conv3DTranspose(4, 2, **kw), (4, 3, 3, 3, 2), (0, 1, 2, 4)),
    (lambda **kw: layers.DepthwiseConv1D(3, depth_multiplier=2, **kw), (4, 9, 5), (0,)),
    (lambda **kw: layers.DepthwiseConv2D(3, depth_multiplier=2, **kw), (4, 7, 7, 5), (0, 1)),
    (lambda **kw: layers.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d", **kw), (8, 3, 5), (0,)),
    (lambda **kw: layers.EinsumDense("abc,cde->abed", (None, 3, 4), bias_axes="ed", **kw), (8, 3, 5), (0,)),
    (lambda **kw: layers.EinsumDense("...x,xy->...y", 4, bias_axes="y", **kw), (8, 3, 5), (0,)),
]
NAMES = [f"{make().__class__.__name__}-{index}" for index, (make, _, _) in enumerate(SUPPORTED)]
supported = pytest.mark.parametrize(("make", "shape", "summed"), SUPPORTED, ids=NAMES)


def batch(shape):
    return np.random.default_rng(0).normal(2.0, 3.0, shape)


def randomize(layer):
    generator = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(generator.uniform(-1.5, 1.5, variable.shape))


def bias_free(layer, kernel, inputs):
    """What the layer's own code gives with this kernel and no bias."""
    plain = type(layer).from_config({**layer.get_config(), "activation": None})
    plain.build(inputs.shape)
    plain.kernel.assign(kernel)
    return plain(inputs).numpy()


@supported
def test_the_kernel_is_g_times_the_unit_direction(make, shape, summed):
    wrapper = WeightNormalization(make(dtype="float64"), data_init=False)
    inputs = batch(shape)
    wrapper.build(shape)
    randomize(wrapper)
    direction = wrapper.v.numpy()
    length = wrapper.g.numpy().reshape([1 if axis in summed else size for axis, size in enumerate(direction.shape)])
    kernel = length * direction / np.sqrt((direction**2).sum(summed, keepdims=True))
    plain = wrapper.remove()
    np.testing.assert_allclose(plain.kernel, kernel, rtol=1e-12)
    np.testing.assert_allclose(wrapper(inputs), plain(inputs), rtol=1e-10, atol=1e-10)


@supported
def test_wrapping_alone_changes_nothing(make, shape, summed):
    inputs = batch(shape)
    layer = make()
    plain = layer(inputs)
    np.testing.assert_allclose(WeightNormalization(layer)(inputs), plain, atol=1e-5)


@supported
def test_the_first_training_batch_comes_out_with_mean_zero_and_variance_one(make, shape, summed):
    wrapper = WeightNormalization(make(activation="relu", dtype="float64"))
    inputs = batch(shape)
    wrapper.build(shape)
    direction = wrapper.v.numpy()
    outputs = wrapper(inputs, training=True).numpy()
    before_activation = bias_free(wrapper.layer, wrapper.remove().kernel, inputs) + wrapper.layer.bias.numpy()
    others = tuple(range(before_activation.ndim - wrapper.layer.bias.ndim))
    np.testing.assert_allclose(before_activation.mean(others), 0.0, atol=1e-10)
    np.testing.assert_allclose(before_activation.var(others), 1.0, rtol=1e-8)
    np.testing.assert_allclose(outputs, np.maximum(before_activation, 0.0), atol=1e-10)
    np.testing.assert_array_equal(wrapper.v, direction)


def test_channels_first_is_initialized_per_channel():
    wrapper = WeightNormalization(layers.Conv2D(4, 3, data_format="channels_first"))
    outputs = wrapper(batch((4, 3, 8, 8)), training=True).numpy()
    np.testing.assert_allclose(outputs.mean((0, 2, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(outputs.var((0, 2, 3)), 1.0, rtol=1e-5)


def test_separable_convolutions_have_a_length_per_kernel():
    wrapper = WeightNormalization(layers.SeparableConv2D(4, 3, depth_multiplier=2))
    outputs = wrapper(batch((4, 7, 7, 5)), training=True).numpy()
    assert [variable.name for variable in wrapper.trainable_variables[:2]] == ["depthwise_g", "pointwise_g"]
    assert [tuple(variable.shape) for variable in wrapper.trainable_variables[:2]] == [(5, 2), (4,)]
    np.testing.assert_allclose(outputs.mean((0, 1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(outputs.var((0, 1, 2)), 1.0, rtol=1e-5)
    np.testing.assert_allclose(wrapper.remove()(batch((4, 7, 7, 5))), outputs, atol=1e-5)


def test_embeddings_are_normalized_per_feature():
    wrapper = WeightNormalization(layers.Embedding(6, 4, mask_zero=True), data_init=False)
    tokens = np.array([[1, 5, 0], [2, 3, 4]])
    wrapper.build(tokens.shape)
    randomize(wrapper)
    table = wrapper.g.numpy() * wrapper.v.numpy() / np.linalg.norm(wrapper.v.numpy(), axis=0)
    np.testing.assert_allclose(wrapper(tokens), table[tokens], rtol=1e-5)
    np.testing.assert_array_equal(wrapper.compute_mask(tokens), tokens != 0)


def test_without_bias_only_the_variance_is_set():
    wrapper = WeightNormalization(layers.Dense(4, use_bias=False))
    outputs = wrapper(batch((64, 5)), training=True).numpy()
    np.testing.assert_allclose(outputs.var(0), 1.0, rtol=1e-5)


def test_a_channel_that_is_constant_over_the_batch_keeps_its_length():
    wrapper = WeightNormalization(layers.Dense(4))
    wrapper.build((1, 5))
    length = wrapper.g.numpy()
    outputs = wrapper(batch((1, 5)), training=True)
    np.testing.assert_array_equal(wrapper.g, length)
    np.testing.assert_allclose(outputs, 0.0, atol=1e-5)


def test_only_the_first_training_batch_initializes():
    wrapper = WeightNormalization(layers.Dense(4))
    wrapper(batch((64, 5)))
    assert not wrapper.initialized.numpy()
    wrapper(batch((64, 5)), training=True)
    values = wrapper.get_weights()
    wrapper(10 * batch((64, 5)) + 3, training=True)
    for actual, desired in zip(wrapper.get_weights(), values, strict=True):
        np.testing.assert_array_equal(actual, desired)


def test_initialize_sets_the_start_from_any_batch():
    by_hand, by_training = (WeightNormalization(layers.Dense(4)) for _ in range(2))
    by_hand.initialize(batch((64, 5)))
    by_training.build((64, 5))
    by_training.v.assign(by_hand.v)
    by_training.g.assign(np.linalg.norm(by_hand.v, axis=0))
    by_training(batch((64, 5)), training=True)
    for actual, desired in zip(by_hand.get_weights(), by_training.get_weights(), strict=True):
        np.testing.assert_allclose(actual, desired, rtol=1e-6)


def test_switched_off_or_frozen_nothing_is_initialized():
    frozen = WeightNormalization(layers.Dense(4), trainable=False)
    inner = WeightNormalization(layers.Dense(4, trainable=False))
    for wrapper in (WeightNormalization(layers.Dense(4), data_init=False), frozen, inner):
        wrapper.build((64, 5))
        before = wrapper.get_weights()
        wrapper(batch((64, 5)), training=True)
        for actual, desired in zip(wrapper.get_weights(), before, strict=True):
            np.testing.assert_array_equal(actual, desired)
    assert frozen.trainable_variables == []


def test_gradients_to_v_and_g_are_those_of_the_paper():
    """Salimans & Kingma 2016, equation 3."""
    wrapper = WeightNormalization(layers.Dense(3, dtype="float64"), data_init=False)
    inputs = tf.constant(batch((16, 5)))
    wrapper.build(inputs.shape)
    randomize(wrapper)
    v, g = wrapper.v.numpy(), wrapper.g.numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(wrapper(inputs) ** 3)
    to_g, to_v = tape.gradient(loss, [wrapper.g.value, wrapper.v.value])
    outputs = inputs.numpy() @ (g * v / np.linalg.norm(v, axis=0)) + wrapper.layer.bias.numpy()
    to_w = inputs.numpy().T @ (3 * outputs**2)
    norm = np.linalg.norm(v, axis=0)
    desired_to_g = (to_w * v).sum(0) / norm
    np.testing.assert_allclose(to_g, desired_to_g, rtol=1e-9)
    np.testing.assert_allclose(to_v, g / norm * to_w - g * desired_to_g / norm**2 * v, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("layer", "shape", "options"),
    [
        (layers.Dense(4), (4, 5), {}),
        (layers.Dense(4), (4, 6, 3), {"dynamic_axes": (1,)}),
        (layers.Conv2D(4, 3, activation="relu"), (4, 7, 6, 5), {"dynamic_axes": (1, 2)}),
        (layers.SeparableConv2D(4, 3), (4, 6, 6, 3), {}),
        (layers.Embedding(6, 4), (4, 7), {"input_dtype": "int32"}),
    ],
)
def test_conforms(layer, shape, options):
    check_layer(WeightNormalization, {"layer": layer}, shape, **options)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_fit_the_first_batch_initializes_and_both_parts_train(jit_compile):
    inputs = batch((64, 5)).astype("float32")
    wrapper = WeightNormalization(layers.Dense(4))
    model = keras.Sequential([keras.Input((5,)), wrapper])
    desired = WeightNormalization(layers.Dense(4))
    desired.build((64, 5))
    desired.set_weights(wrapper.get_weights())
    desired(inputs, training=True)
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=jit_compile)
    model.fit(inputs, np.ones((64, 4)), batch_size=64, epochs=2, verbose=0)
    for actual, expected in zip(wrapper.get_weights(), desired.get_weights(), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
    model.fit(inputs, np.ones((64, 4)), verbose=0)
    assert (wrapper.g.numpy() != desired.g.numpy()).any()
    assert (wrapper.v.numpy() != desired.v.numpy()).any()


def test_the_start_survives_saving_and_is_not_made_again(tmp_path):
    model = keras.Sequential([keras.Input((5,)), WeightNormalization(layers.Dense(4))])
    model(batch((64, 5)), training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    loaded(5 * batch((64, 5)), training=True)
    for actual, desired in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, desired)


def test_removal_leaves_a_plain_layer_of_the_same_name_penalty_and_weights():
    wrapper = WeightNormalization(layers.Dense(4, activation="tanh", kernel_regularizer="l2", name="head"))
    inputs = batch((8, 5))
    wrapper.build(inputs.shape)
    randomize(wrapper)
    plain = wrapper.remove()
    assert (type(plain), plain.name, len(plain.losses)) == (layers.Dense, "head", 1)
    assert [tuple(weight.shape) for weight in plain.weights] == [(5, 4), (4,)]
    np.testing.assert_allclose(plain(inputs), wrapper(inputs), atol=1e-6)
    plain.kernel.assign(plain.kernel + 1)
    assert (plain.kernel.numpy() != wrapper.v.numpy()).all()


def test_works_inside_time_distributed():
    wrapper = WeightNormalization(layers.Dense(4), data_init=False)
    inputs = batch((2, 6, 5))
    outputs = layers.TimeDistributed(wrapper)(inputs)
    np.testing.assert_allclose(outputs, wrapper.remove()(inputs), atol=1e-5)


def test_mixed_precision_normalizes_in_float32():
    """In float16 the squares of these directions would be 0."""
    wrapper = WeightNormalization(layers.Dense(4, dtype="mixed_float16"), data_init=False)
    inputs = keras.Input((5,))
    model = keras.Model(inputs, wrapper(inputs))
    wrapper.v.assign(1e-4 * np.random.default_rng(0).normal(size=(5, 4)))
    wrapper.g.assign(np.ones(4))
    assert (wrapper.g.dtype, wrapper.v.dtype, model.output.dtype) == ("float32", "float32", "float16")
    np.testing.assert_allclose(np.linalg.norm(wrapper.remove().kernel, axis=0), 1.0, rtol=1e-5)
    values = batch((8, 5))
    np.testing.assert_allclose(model(values), wrapper.remove()(values), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("layer", [layers.LSTM(3), layers.BatchNormalization(), layers.ReLU()])
def test_other_layers_are_refused_with_the_supported_ones_named(layer):
    with pytest.raises(ValueError, match=r"must be one of Conv1D, .*Dense, .*Received: layer=<(LSTM|Batch|ReLU)"):
        WeightNormalization(layer)


def test_a_bias_that_is_not_per_channel_is_refused_with_data_initialization():
    def make(data_init):
        layer = layers.EinsumDense("abc,cd->abd", (3, 4), bias_axes="bd", name="projection")
        return WeightNormalization(layer, data_init=data_init)

    with pytest.raises(ValueError, match=r"'projection', 4 in all; pass data_init=False. Received: .*\(3, 4\)"):
        make(True).build((2, 3, 5))
    make(False).build((2, 3, 5))


def test_removal_needs_weights():
    with pytest.raises(ValueError, match=r"has no weights before it is built.*Received: built=False"):
        WeightNormalization(layers.Dense(4)).remove()
