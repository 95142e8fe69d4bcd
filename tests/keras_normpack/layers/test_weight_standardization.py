"""`WeightStandardization`: both formulas, published behaviour, and what a wrapper owes to the layer it wraps."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_normpack import WeightStandardization
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.linear_layers import EXACT, batch, linear_layers, numpy, randomize


def standardized(kernel, summed, gain=None, epsilon=1e-6):
    centered = kernel - kernel.mean(summed, keepdims=True)
    kernel = centered / np.sqrt((centered**2).mean(summed, keepdims=True) + epsilon)
    if gain is None:
        return kernel
    fan_in = np.prod([kernel.shape[axis] for axis in summed])
    return kernel * gain.reshape([1 if axis in summed else n for axis, n in enumerate(kernel.shape)]) / np.sqrt(fan_in)


@linear_layers
@pytest.mark.parametrize("gain", [None, 1.7])
def test_the_kernel_is_standardized_per_output_channel(make, shape, summed, gain):
    wrapper = WeightStandardization(make(dtype="float64"), gain=gain)
    inputs = batch(shape)
    wrapper.build(shape)
    randomize(wrapper)
    own = [numpy(variable) for variable in wrapper.trainable_variables if variable.name == "g"]
    assert len(own) == (gain is not None)
    kernel = standardized(numpy(wrapper.layer.kernel), summed, *own)
    plain = wrapper.remove()
    np.testing.assert_allclose(numpy(plain.kernel), kernel, rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(numpy(wrapper(inputs)), numpy(plain(inputs)), rtol=EXACT, atol=50 * EXACT)


def test_separable_convolutions_standardize_both_kernels():
    wrapper = WeightStandardization(layers.SeparableConv2D(4, 3, depth_multiplier=2), gain=2.0)
    wrapper.build((None, 7, 7, 5))
    names = [variable.name for variable in wrapper.trainable_variables[:2]]
    gains = [numpy(variable) for variable in wrapper.trainable_variables[:2]]
    plain, layer = wrapper.remove(), wrapper.layer
    assert names == ["depthwise_g", "pointwise_g"]
    depthwise = standardized(numpy(layer.depthwise_kernel), (0, 1), gains[0])
    pointwise = standardized(numpy(layer.pointwise_kernel), (0, 1, 2), gains[1])
    np.testing.assert_allclose(numpy(plain.depthwise_kernel), depthwise, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(numpy(plain.pointwise_kernel), pointwise, rtol=1e-4, atol=1e-5)


def test_the_scaled_form_keeps_the_variance_of_inputs_and_makes_up_for_relu():
    """Brock et al. 2021, arXiv:2101.08692: with the gain of ReLU a stack of layers neither grows nor fades."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(2000, 256)).astype("float32")
    gain = np.sqrt(2 / (1 - 1 / np.pi))
    linear = WeightStandardization(layers.Dense(256), gain=1.0)
    assert abs(numpy(linear(values)).var() - 1) < 0.05
    for _ in range(5):
        values = numpy(WeightStandardization(layers.Dense(256), gain=gain)(np.maximum(values, 0)))
    assert abs(values.var() - 1) < 0.1


def test_the_outputs_do_not_depend_on_the_scale_and_mean_of_the_weights():
    wrapper = WeightStandardization(layers.Conv2D(4, 3, use_bias=False))
    inputs = batch((2, 6, 6, 3))
    before = numpy(wrapper(inputs))
    wrapper.layer.kernel.assign(30 * wrapper.layer.kernel + 0.5)
    np.testing.assert_allclose(numpy(wrapper(inputs)), before, rtol=1e-3, atol=1e-2)


def test_a_large_mean_costs_no_precision():
    wrapper = WeightStandardization(layers.Dense(4))
    wrapper.build((None, 64))
    kernel = np.random.default_rng(0).normal(100.0, 0.1, (64, 4)).astype("float32")
    wrapper.layer.kernel.assign(kernel)
    desired = standardized(kernel.astype("float64"), (0,))
    np.testing.assert_allclose(numpy(wrapper.remove().kernel), desired, atol=2e-3)


def test_torch_standardizes_the_same_through_its_batch_normalization():
    """As PyTorch image models do: batch normalization over a kernel whose output channels are taken for channels."""
    torch = pytest.importorskip("torch")
    wrapper = WeightStandardization(layers.Conv2D(4, 3), gain=1.3, epsilon=1e-5)
    wrapper.build((None, 6, 6, 5))
    kernel = numpy(wrapper.layer.kernel)
    rows = torch.tensor(kernel.reshape(1, -1, 4).transpose(0, 2, 1))
    weight = torch.full((4,), 1.3 / np.sqrt(45), dtype=rows.dtype)
    desired = torch.nn.functional.batch_norm(rows, None, None, weight=weight, training=True, eps=1e-5)
    desired = desired.numpy()[0].T.reshape(kernel.shape)
    np.testing.assert_allclose(numpy(wrapper.remove().kernel), desired, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape", "options"),
    [
        (layers.Dense(4), (4, 5), {}),
        (layers.Conv2D(4, 3, activation="relu"), (4, 7, 6, 5), {"gain": 1.7}),
    ],
)
def test_conforms(layer, shape, options):
    check_layer(WeightStandardization, {"layer": layer, **options}, shape)


def test_it_works_inside_time_distributed_and_frozen():
    wrapper = WeightStandardization(layers.Conv1D(4, 3), gain=1.0)
    inputs = batch((2, 3, 8, 5))
    outputs = numpy(layers.TimeDistributed(wrapper)(inputs))
    plain = wrapper.remove()
    np.testing.assert_allclose(
        outputs, np.stack([numpy(plain(inputs[:, step])) for step in range(3)], axis=1), rtol=1e-4, atol=1e-4
    )
    wrapper.trainable = False
    assert wrapper.trainable_variables == []


def test_mixed_precision_standardizes_in_float32():
    """In float16 the squares of these weights would be 0."""
    wrapper = WeightStandardization(layers.Dense(4, dtype="mixed_float16"), epsilon=1e-12)
    wrapper.build((None, 64))
    wrapper.layer.kernel.assign(1e-4 * np.random.default_rng(0).normal(size=(64, 4)))
    outputs = wrapper(batch((8, 64)))
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    np.testing.assert_allclose(numpy(wrapper.remove().kernel).std(axis=0), 1.0, rtol=1e-3)


def test_removal_leaves_a_plain_layer_of_the_same_name_and_weights():
    wrapper = WeightStandardization(layers.Dense(4, activation="tanh", name="head"))
    wrapper.build((None, 5))
    plain = wrapper.remove()
    assert (type(plain), plain.name, len(plain.weights)) == (layers.Dense, "head", 2)
    np.testing.assert_allclose(numpy(plain(batch((3, 5)))), numpy(wrapper(batch((3, 5)))), atol=1e-5)


@pytest.mark.parametrize("arguments", [{"gain": 0.0}, {"gain": True}, {"epsilon": 0}, {"epsilon": "small"}], ids=str)
def test_wrong_arguments_are_refused(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=rf"Argument `{name}` of WeightStandardization must be .*Received: {name}="):
        WeightStandardization(layers.Dense(4), **arguments)


@pytest.mark.parametrize("layer", [layers.LSTM(3), layers.Embedding(3, 2), layers.ReLU()], ids=lambda layer: layer.name)
def test_other_layers_are_refused(layer):
    with pytest.raises(ValueError, match=r"of WeightStandardization must be one of Conv1D, .*Received: layer="):
        WeightStandardization(layer)


def test_a_channel_of_one_entry_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 kernel entries.*'head'.*Received: kernel of shape \(1, 4\)"):
        WeightStandardization(layers.Dense(4, name="head")).build((None, 1))
