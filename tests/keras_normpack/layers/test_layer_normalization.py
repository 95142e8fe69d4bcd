"""`LayerNormalization` is Keras's, whether a kernel runs or not."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import LayerNormalization
from keras_normpack.kernels import Call, choose
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.drop_in import assert_same, check_interchange, data, float64, pair, passes

# TensorFlow's kernel is chosen for the first.
SHAPES = [(64, 32, 128), (3, 4, 5), (2, 3, 4, 6), (4, 7)]


def formula(axis=-1, epsilon=1e-3):
    def compute(inputs, weights):
        axes = (axis,) if isinstance(axis, int) else tuple(axis)
        mean, variance = inputs.mean(axes, keepdims=True), inputs.var(axes, keepdims=True)
        shape = [
            size if position in {one % inputs.ndim for one in axes} else 1 for position, size in enumerate(inputs.shape)
        ]
        gamma, beta = (weights.get(name, np.full(1, default)) for name, default in (("gamma", 1.0), ("beta", 0.0)))
        gamma, beta = (value.reshape(shape) if value.size > 1 else value for value in (gamma, beta))
        return gamma * (inputs - mean) / np.sqrt(variance + epsilon) + beta

    return compute


@pytest.mark.parametrize(
    ("arguments", "shape", "dynamic_axes"),
    [
        ({}, (2, 5, 6), (1,)),
        ({"axis": 1, "epsilon": 0.1}, (2, 6, 5), (2,)),
        ({"axis": [1, 2]}, (2, 4, 3), ()),
        ({"center": False, "scale": False}, (2, 6), ()),
    ],
)
def test_conforms(arguments, shape, dynamic_axes):
    expected = formula(arguments.get("axis", -1), arguments.get("epsilon", 1e-3))
    check_layer(LayerNormalization, arguments, shape, dynamic_axes=dynamic_axes, expected=expected)


@pytest.mark.tensorflow_only
def test_a_kernel_is_chosen():
    assert choose("layer_normalization", Call.of(ops.zeros(SHAPES[0]), -1)) is not None


def compare(shape, tolerance, **arguments):
    inputs, cotangent = data(shape, keras.DTypePolicy(arguments.get("dtype", "float32")).compute_dtype)
    layers = pair(LayerNormalization, keras.layers.LayerNormalization, shape, **arguments)
    assert_same(*(passes(layer, inputs, cotangent) for layer in layers), tolerance)


# On torch, Keras's layer fails along any axis but the last.
INNER_AXIS = pytest.param({"axis": 1, "scale": False}, marks=pytest.mark.tensorflow_only)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("arguments", [{}, INNER_AXIS, {"center": False}, {"scale": False, "epsilon": 1e-6}])
def test_matches_keras_in_outputs_and_gradients(shape, arguments):
    compare(shape, 1e-5, **arguments)


@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_float16", 1e-3), ("mixed_bfloat16", 8e-3)])
def test_matches_keras_in_half_precision(shape, policy, tolerance):
    compare(shape, tolerance, dtype=policy)


def test_several_axes_and_variance_scaling_are_those_of_keras():
    compare((3, 4, 5), 1e-6, axis=[1, 2])
    with pytest.warns(UserWarning, match="rms_scaling"):
        compare((64, 32, 128), 1e-6, rms_scaling=True)


def test_statistics_of_large_float16_inputs_do_not_overflow():
    inputs = np.random.default_rng(0).normal(0.0, 5000.0, (64, 32, 128)).astype("float16")
    outputs = float64(LayerNormalization(dtype="mixed_float16")(inputs))
    np.testing.assert_allclose(outputs, formula()(inputs.astype("float64"), {}), atol=4e-3)


@pytest.mark.parametrize("arguments", [{}, INNER_AXIS, {"axis": [1, 2]}])
def test_what_keras_saves_loads_and_back(arguments, tmp_path):
    check_interchange(LayerNormalization, keras.layers.LayerNormalization, (4, 5, 6), tmp_path, **arguments)


@pytest.mark.parametrize(
    ("axis", "shape", "message"),
    [
        (3, (None, 8, 3), r"`axis` of LayerNormalization 'norm' .* from -3 to 2.* Received: axis=3"),
        ([1, -4], (None, 8, 3), r"Received: axis=\[1, -4\]"),
        (1, (None, None, 3), r"along axis 1, so its size must be known.* Received: input_shape=\(None, None, 3\)"),
    ],
)
def test_wrong_shapes_raise_when_the_layer_is_built(axis, shape, message):
    with pytest.raises(ValueError, match=message):
        LayerNormalization(axis=axis, name="norm").build(shape)
