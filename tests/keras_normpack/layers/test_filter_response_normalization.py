"""`FilterResponseNormalization` against its formula and its own laws."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_normpack import FilterResponseNormalization
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.tensors import EXACT, float64


def formula(positions, epsilon=1e-6):
    def compute(inputs, weights):
        channels = next(axis for axis in range(1, inputs.ndim) if axis not in positions)
        shape = [-1 if axis == channels else 1 for axis in range(inputs.ndim)]
        mean_square = np.mean(inputs**2, axis=positions, keepdims=True)
        added = epsilon + np.abs(weights.get("learned_epsilon", 0))
        normalized = inputs / np.sqrt(mean_square + added)
        gamma, beta = weights.get("gamma", np.ones(1)), weights.get("beta", np.zeros(1))
        return gamma.reshape(shape) * normalized + beta.reshape(shape)

    return compute


@pytest.mark.parametrize(
    ("arguments", "shape", "dynamic_axes", "positions"),
    [
        ({}, (2, 5, 6, 3), (1, 2), (1, 2)),
        ({"axis": [1, 2], "epsilon": 0.1}, (2, 4, 4, 3), (), (1, 2)),
        ({"learned_epsilon": True}, (2, 7, 3), (1,), (1,)),
        ({"axis": [-2, -1]}, (2, 3, 5, 4), (2, 3), (2, 3)),
        ({"learned_epsilon": True, "learned_epsilon_constraint": "non_neg"}, (2, 2, 3, 2, 3), (), (1, 2, 3)),
        ({"center": False, "gamma_regularizer": "l2"}, (2, 4, 3), (), (1,)),
    ],
)
def test_conforms(arguments, shape, dynamic_axes, positions):
    expected = formula(positions, arguments.get("epsilon", 1e-6))
    check_layer(FilterResponseNormalization, arguments, shape, dynamic_axes=dynamic_axes, expected=expected)


def test_averages_over_the_named_axes_only():
    inputs = np.random.default_rng(0).normal(size=(2, 5, 6, 3))
    outputs = ops.convert_to_numpy(FilterResponseNormalization(axis=[2], dtype="float64")(float64(inputs)))
    desired = inputs / np.sqrt(np.mean(inputs**2, axis=2, keepdims=True) + 1e-6)
    np.testing.assert_allclose(outputs, desired, atol=EXACT)


@given(seed=st.integers(0, 99), factor=st.floats(1e-2, 1e3), channels=st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_scaling_the_inputs_changes_nothing_but_the_sign(seed, factor, channels):
    inputs = np.random.default_rng(seed).normal(1.0, 1.0, (2, 3, 4, channels))
    layer = FilterResponseNormalization(epsilon=1e-16, dtype="float64")
    outputs = ops.convert_to_numpy(layer(float64(inputs)))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(float64(-factor * inputs))), -outputs, atol=EXACT)


def test_weights_are_in_the_order_of_tensorflow_addons():
    layer = FilterResponseNormalization(learned_epsilon=True)
    layer.build((None, 4, 4, 3))
    shapes = [(weight.name, tuple(weight.shape)) for weight in layer.weights]
    assert shapes == [("learned_epsilon", (1,)), ("gamma", (3,)), ("beta", (3,))]
    assert float(ops.convert_to_numpy(layer.weights[0])[0]) == np.float32(1e-4)


def test_mean_squares_are_float32_under_mixed_precision():
    inputs = np.random.default_rng(0).normal(0.0, 2000.0, (2, 16, 16, 3)).astype("float16")
    outputs = ops.convert_to_numpy(FilterResponseNormalization(dtype="mixed_float16")(inputs))
    np.testing.assert_allclose(outputs, formula((1, 2))(inputs.astype("float64"), {}), atol=2e-3)


@pytest.mark.parametrize("axis", [None, [2]])
def test_masked_steps_do_not_count(axis):
    values = np.random.default_rng(0).normal(3.0, 2.0, (3, 7, 4))
    values[1, 5] = np.inf
    lengths = [7, 4, 0]
    mask = np.arange(7) < np.array(lengths)[:, None]
    inputs = values if axis is None else values.transpose(0, 2, 1)
    outputs = ops.convert_to_numpy(FilterResponseNormalization(axis=axis, dtype="float64")(float64(inputs), mask=mask))
    outputs = outputs if axis is None else outputs.transpose(0, 2, 1)
    for sample, length in enumerate(lengths[:2]):
        alone = formula((1,))(values[sample : sample + 1, :length], {})[0]
        np.testing.assert_allclose(outputs[sample, :length], alone, atol=EXACT)
    assert np.isfinite(outputs[2]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axis": 1}, r"`axis` of FilterResponseNormalization must be a list.*Received: axis=1"),
        ({"axis": [0, 1]}, r"other than 0, the batch axis.*Received: axis=\[0, 1\]"),
        ({"axis": []}, r"Received: axis=\[\]"),
        ({"epsilon": 0}, r"`epsilon` .* above 0.*Received: epsilon=0"),
    ],
)
def test_wrong_arguments_raise_when_the_layer_is_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        FilterResponseNormalization(**arguments)


@pytest.mark.parametrize(
    ("axis", "shape", "message"),
    [
        (None, (None, 8), r"'norm' .* at least 3 axes.*Received: input_shape=\(None, 8\)"),
        ([1, 4], (None, 8, 8, 3), r"`axis` of FilterResponseNormalization 'norm' .*Received: axis=\[1, 4\]"),
        ([1, -4], (None, 8, 8, 3), r"Received: axis=\[1, -4\]"),
        ([1, -3], (None, 8, 8, 3), r"different axes.*Received: axis=\[1, -3\]"),
        ([1, 2, 3], (None, 8, 8, 3), r"for the channels.*Received: axis=\[1, 2, 3\]"),
        ([3], (None, 8, 8, 3), r"for the channels.*Received: axis=\[3\]"),
        ([1, 2], (None, 8, 8, None), r"known number of channels on axis 3"),
    ],
)
def test_wrong_shapes_raise_when_the_layer_is_built(axis, shape, message):
    layer = FilterResponseNormalization(axis=axis, name="norm")
    with pytest.raises(ValueError, match=message):
        layer.build(shape)
    with pytest.raises(ValueError, match=message):
        layer.compute_output_shape(shape)


def test_what_the_mask_hides_changes_nothing_in_a_recurrent_model():
    inputs = keras.Input((None, 3))
    hidden = FilterResponseNormalization()(keras.layers.Masking()(inputs))
    model = keras.Model(inputs, keras.layers.GRU(4)(hidden))
    series = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    padded = np.concatenate([series, np.zeros((2, 3, 3), "float32")], axis=1)
    np.testing.assert_allclose(model.predict(padded, verbose=0), model.predict(series, verbose=0), atol=1e-6)
