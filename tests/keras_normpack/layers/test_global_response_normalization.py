"""`GlobalResponseNormalization` against its formula, torch and its own laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_normpack import GlobalResponseNormalization
from keras_normpack.autodiff import outputs_and_gradients
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.tensors import EXACT, float64


def formula(axis=-1, epsilon=1e-6):
    def compute(inputs, weights):
        positions = tuple(other for other in range(1, inputs.ndim) if other != axis % inputs.ndim)
        shape = [-1 if other == axis % inputs.ndim else 1 for other in range(inputs.ndim)]
        norms = np.sqrt(np.sum(inputs**2, axis=positions, keepdims=True))
        relative = norms / (norms.mean(axis=axis, keepdims=True) + epsilon)
        gamma, beta = weights.get("gamma", np.ones(1)), weights.get("beta", np.zeros(1))
        return gamma.reshape(shape) * (inputs * relative) + beta.reshape(shape) + inputs

    return compute


@pytest.mark.parametrize(
    ("arguments", "shape", "dynamic_axes"),
    [
        ({}, (2, 5, 6, 3), (1, 2)),
        ({"epsilon": 0.5}, (2, 7, 3), (1,)),
        ({}, (2, 2, 3, 2, 3), ()),
        ({"axis": 1, "beta_regularizer": "l2"}, (2, 3, 5, 4), (2, 3)),
        ({"center": False, "scale": False}, (2, 4, 4, 3), ()),
    ],
)
def test_conforms(arguments, shape, dynamic_axes):
    expected = formula(arguments.get("axis", -1), arguments.get("epsilon", 1e-6))
    check_layer(GlobalResponseNormalization, arguments, shape, dynamic_axes=dynamic_axes, expected=expected)


def test_begins_as_the_identity():
    inputs = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(GlobalResponseNormalization()(inputs)), inputs)


def test_weights_are_gamma_then_beta():
    layer = GlobalResponseNormalization()
    layer.build((None, 4, 4, 3))
    assert [(weight.name, tuple(weight.shape)) for weight in layer.weights] == [("gamma", (3,)), ("beta", (3,))]


@given(seed=st.integers(0, 99), factor=st.floats(1e-2, 1e2), channels=st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_scales_with_its_inputs(seed, factor, channels):
    inputs = np.random.default_rng(seed).normal(1.0, 1.0, (2, 3, 3, channels))
    layer = GlobalResponseNormalization(epsilon=1e-16, gamma_initializer="ones", dtype="float64")
    outputs = ops.convert_to_numpy(layer(float64(inputs)))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(float64(factor * inputs))), factor * outputs, rtol=EXACT)


def test_is_the_function_of_the_paper_s_torch_code_gradients_too():
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    inputs, cotangent = generator.normal(size=(2, 2, 4, 5, 3))
    leaf = torch.tensor(inputs, requires_grad=True)
    norms = torch.linalg.vector_norm(leaf, dim=(1, 2), keepdim=True)
    theirs = leaf * (norms / (norms.mean(-1, keepdim=True) + 1e-6)) + leaf
    theirs.backward(torch.tensor(cotangent))
    layer = GlobalResponseNormalization(gamma_initializer="ones", dtype="float64")
    tensors = [float64(inputs)]
    outputs, (gradient,) = outputs_and_gradients(layer, tensors, float64(cotangent))
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), theirs.detach().numpy(), atol=EXACT)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), atol=EXACT)


def test_a_channel_that_is_0_everywhere_has_finite_gradients():
    inputs = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    inputs[0, ..., 1] = 0
    layer = GlobalResponseNormalization(gamma_initializer="ones")
    tensors = [ops.convert_to_tensor(inputs)]
    outputs, (gradient,) = outputs_and_gradients(layer, tensors, ops.ones_like(tensors[0]))
    assert np.isfinite(ops.convert_to_numpy(outputs)).all()
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient[0, ..., 1], 1.0)


def test_norms_are_float32_under_mixed_precision():
    inputs = np.random.default_rng(0).normal(0.0, 2000.0, (2, 16, 16, 3)).astype("float16")
    layer = GlobalResponseNormalization(gamma_initializer="ones", dtype="mixed_float16")
    outputs = ops.convert_to_numpy(layer(inputs))
    np.testing.assert_allclose(outputs, formula()(inputs.astype("float64"), {}), rtol=2e-3)


@pytest.mark.parametrize("axis", [-1, 1])
def test_masked_steps_do_not_count(axis):
    values = np.random.default_rng(0).normal(3.0, 2.0, (3, 7, 4))
    lengths = [7, 4, 0]
    mask = np.arange(7) < np.array(lengths)[:, None]
    inputs = values if axis == -1 else values.transpose(0, 2, 1)
    layer = GlobalResponseNormalization(axis=axis, gamma_initializer="ones", dtype="float64")
    outputs = ops.convert_to_numpy(layer(float64(inputs), mask=mask))
    outputs = outputs if axis == -1 else outputs.transpose(0, 2, 1)
    for sample, length in enumerate(lengths[:2]):
        alone = formula()(values[sample : sample + 1, :length], {})[0]
        np.testing.assert_allclose(outputs[sample, :length], alone, atol=EXACT)
    assert np.isfinite(outputs[2]).all()


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match=r"`axis` of GlobalResponseNormalization .*Received: axis=0"):
        GlobalResponseNormalization(axis=0)
    with pytest.raises(ValueError, match=r"`epsilon` .*Received: epsilon=-1"):
        GlobalResponseNormalization(epsilon=-1)


@pytest.mark.parametrize(
    ("axis", "shape", "message"),
    [
        (-1, (None, 8), r"'norm' .* at least 3 axes.*Received: input_shape=\(None, 8\)"),
        (4, (None, 8, 8, 3), r"`axis` of GlobalResponseNormalization 'norm' .*Received: axis=4"),
        (-1, (None, 8, None), r"known number of channels on axis -1"),
    ],
)
def test_wrong_shapes_raise_when_the_layer_is_built(axis, shape, message):
    with pytest.raises(ValueError, match=message):
        GlobalResponseNormalization(axis=axis, name="norm").build(shape)
