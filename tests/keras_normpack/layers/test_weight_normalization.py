"""`WeightNormalization`: its formula, its gradients, and what a wrapper owes to the layer it wraps."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_normpack import WeightNormalization
from keras_normpack.autodiff import outputs_and_gradients
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.linear_layers import EXACT, batch, linear_layers, numpy, randomize


@linear_layers
def test_the_kernel_is_g_times_the_unit_direction(make, shape, summed):
    wrapper = WeightNormalization(make(dtype="float64"), data_init=False)
    inputs = batch(shape)
    wrapper.build(shape)
    randomize(wrapper)
    direction = numpy(wrapper.v)
    length = numpy(wrapper.g).reshape([1 if axis in summed else size for axis, size in enumerate(direction.shape)])
    kernel = length * direction / np.sqrt((direction**2).sum(summed, keepdims=True))
    plain = wrapper.remove()
    np.testing.assert_allclose(numpy(plain.kernel), kernel, rtol=EXACT)
    np.testing.assert_allclose(numpy(wrapper(inputs)), numpy(plain(inputs)), rtol=EXACT, atol=5 * EXACT)


@linear_layers
def test_wrapping_alone_changes_nothing(make, shape, summed):
    inputs = batch(shape)
    layer = make()
    plain = numpy(layer(inputs))
    np.testing.assert_allclose(numpy(WeightNormalization(layer)(inputs)), plain, atol=1e-5)


def test_embeddings_are_normalized_per_feature():
    wrapper = WeightNormalization(layers.Embedding(6, 4, mask_zero=True), data_init=False)
    tokens = np.array([[1, 5, 0], [2, 3, 4]])
    wrapper.build(tokens.shape)
    randomize(wrapper)
    table = numpy(wrapper.g) * numpy(wrapper.v) / np.linalg.norm(numpy(wrapper.v), axis=0)
    np.testing.assert_allclose(numpy(wrapper(tokens)), table[tokens], rtol=1e-5)
    np.testing.assert_array_equal(numpy(wrapper.compute_mask(keras.ops.convert_to_tensor(tokens))), tokens != 0)


def test_gradients_to_v_and_g_are_those_of_the_paper():
    """Salimans & Kingma 2016, equation 3."""
    wrapper = WeightNormalization(layers.Dense(3, use_bias=False, dtype="float64"), data_init=False)
    inputs, cotangent = batch((16, 5)), np.random.default_rng(2).normal(size=(16, 3))
    wrapper.build(inputs.shape)
    randomize(wrapper)
    v, g = numpy(wrapper.v), numpy(wrapper.g)

    def outputs(direction, length):
        with keras.StatelessScope([(wrapper.v, direction), (wrapper.g, length)]):
            return wrapper(inputs)

    arguments = [keras.ops.convert_to_tensor(value, "float64") for value in (v, g)]
    _, (to_v, to_g) = outputs_and_gradients(outputs, arguments, keras.ops.convert_to_tensor(cotangent, "float64"))
    to_w, norm = inputs.T @ cotangent, np.linalg.norm(v, axis=0)
    desired_to_g = (to_w * v).sum(0) / norm
    np.testing.assert_allclose(to_g, desired_to_g, rtol=EXACT)
    np.testing.assert_allclose(to_v, g / norm * to_w - g * desired_to_g / norm**2 * v, rtol=EXACT, atol=5 * EXACT)


@pytest.mark.parametrize(
    ("layer", "shape", "options"),
    [
        (layers.Dense(4), (4, 6, 3), {"dynamic_axes": (1,)}),
        (layers.Conv2D(4, 3, activation="relu"), (4, 7, 6, 5), {"dynamic_axes": (1, 2)}),
        (layers.SeparableConv2D(4, 3), (4, 6, 6, 3), {}),
        (layers.Embedding(6, 4), (4, 7), {"input_dtype": "int32"}),
        (layers.LSTM(4, return_sequences=True), (4, 5, 3), {"dynamic_axes": (1,)}),
    ],
)
def test_conforms(layer, shape, options):
    check_layer(WeightNormalization, {"layer": layer}, shape, **options)


def test_removal_leaves_a_plain_layer_of_the_same_name_penalty_and_weights():
    wrapper = WeightNormalization(layers.Dense(4, activation="tanh", kernel_regularizer="l2", name="head"))
    inputs = batch((8, 5))
    wrapper.build(inputs.shape)
    randomize(wrapper)
    plain = wrapper.remove()
    assert (type(plain), plain.name, len(plain.losses)) == (layers.Dense, "head", 1)
    assert [tuple(weight.shape) for weight in plain.weights] == [(5, 4), (4,)]
    np.testing.assert_allclose(numpy(plain(inputs)), numpy(wrapper(inputs)), atol=1e-6)
    plain.kernel.assign(plain.kernel + 1)
    assert (numpy(plain.kernel) != numpy(wrapper.v)).all()


def test_a_frozen_wrapper_holds_everything_and_a_frozen_layer_all_but_g():
    inputs, targets = batch((16, 5)), np.ones((16, 4))
    frozen, inner = WeightNormalization(layers.Dense(4)), WeightNormalization(layers.Dense(4, trainable=False))
    frozen.trainable = False
    for wrapper, moving in ((frozen, set()), (inner, {"g"})):
        model = keras.Sequential([keras.Input((5,)), wrapper, layers.Dense(4)])
        before = {variable.name: numpy(variable) for variable in wrapper.variables}
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(inputs, targets, verbose=0)
        changed = {variable.name for variable in wrapper.variables if (numpy(variable) != before[variable.name]).any()}
        assert {variable.name for variable in wrapper.trainable_variables} == moving
        assert changed == moving


def test_mixed_precision_normalizes_in_float32():
    """In float16 the squares of these directions would be 0."""
    wrapper = WeightNormalization(layers.Dense(4, dtype="mixed_float16"), data_init=False)
    inputs = keras.Input((5,))
    model = keras.Model(inputs, wrapper(inputs))
    wrapper.v.assign(1e-4 * np.random.default_rng(0).normal(size=(5, 4)))
    wrapper.g.assign(np.ones(4))
    assert (wrapper.g.dtype, wrapper.v.dtype, model.output.dtype) == ("float32", "float32", "float16")
    np.testing.assert_allclose(np.linalg.norm(numpy(wrapper.remove().kernel), axis=0), 1.0, rtol=1e-5)
    values = batch((8, 5))
    np.testing.assert_allclose(numpy(model(values)), numpy(wrapper.remove()(values)), rtol=2e-2, atol=2e-2)


def test_weights_of_tfa_fit_in_the_documented_order():
    """TFA: g, v, bias, initialized; the kernel is l2_normalize(v, all axes but the last) · g."""
    generator = np.random.default_rng(0)
    g, v, bias = (generator.normal(size=shape).astype("float32") for shape in ((4,), (3, 3, 2, 4), (4,)))
    wrapper = WeightNormalization(layers.Conv2D(4, 3))
    wrapper.build((None, 8, 8, 2))
    wrapper.set_weights([g, np.array(True), v, bias])
    plain = wrapper.remove()
    np.testing.assert_allclose(numpy(plain.kernel), v / np.sqrt((v**2).sum((0, 1, 2))) * g, rtol=1e-5)
    np.testing.assert_array_equal(numpy(plain.bias), bias)
    assert bool(numpy(wrapper.initialized))


@pytest.mark.parametrize(
    "layer",
    [layers.RNN([layers.LSTMCell(3)]), layers.BatchNormalization(), layers.ReLU()],
    ids=lambda layer: layer.name,
)
def test_other_layers_are_refused_with_the_supported_ones_named(layer):
    with pytest.raises(ValueError, match=r"must be one of .*Conv1D, .*Dense, .*Received: layer=<(RNN|Batch|ReLU)"):
        WeightNormalization(layer)


def test_a_layer_whose_kernel_is_no_plain_weight_is_refused_whenever_that_happens():
    wrapper = WeightNormalization(layers.Dense(4, name="head"))
    wrapper.build((2, 3))
    wrapper.layer.enable_lora(2)
    with pytest.raises(ValueError, match=r"kernel of layer 'head'.*`remove\(\)` first.*Received: lora_enabled=True"):
        wrapper(batch((2, 3)))
    with pytest.raises(ValueError, match=r"Received: lora_enabled=True"):
        WeightNormalization(wrapper.layer)
    quantized = layers.Dense(4)
    quantized.build((2, 3))
    quantized.quantize("int8")
    with pytest.raises(ValueError, match=r"Received: lora_enabled=False, quantization_mode='int8'"):
        WeightNormalization(quantized)


def test_removal_needs_weights():
    with pytest.raises(ValueError, match=r"has no weights before it is built.*Received: built=False"):
        WeightNormalization(layers.Dense(4)).remove()
