"""`DynamicTanh` against its formula and its own laws."""

import numpy as np
import pytest
from keras import ops

from keras_normpack import DynamicTanh
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.tensors import EXACT, float64


def formula(axis=-1):
    def compute(inputs, weights):
        shape = [-1 if other == axis % inputs.ndim else 1 for other in range(inputs.ndim)]
        gamma, beta = weights.get("gamma", np.ones(1)), weights.get("beta", np.zeros(1))
        return gamma.reshape(shape) * np.tanh(weights["alpha"] * inputs) + beta.reshape(shape)

    return compute


@pytest.mark.parametrize(
    ("arguments", "shape", "dynamic_axes"),
    [
        ({}, (3, 4), ()),
        ({"alpha_initial_value": 0.8}, (2, 7, 3), (1,)),
        ({"axis": 1, "gamma_regularizer": "l2"}, (2, 3, 5, 4), (2, 3)),
        ({"center": False, "scale": False}, (2, 4, 4, 3), ()),
    ],
)
def test_conforms(arguments, shape, dynamic_axes):
    check_layer(DynamicTanh, arguments, shape, dynamic_axes=dynamic_axes, expected=formula(arguments.get("axis", -1)))


def test_begins_as_tanh_of_half_the_inputs():
    inputs = np.random.default_rng(0).normal(size=(3, 4))
    outputs = DynamicTanh(dtype="float64")(float64(inputs))
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), np.tanh(inputs / 2), rtol=EXACT)


def test_weights_are_a_scalar_alpha_then_gamma_and_beta():
    layer = DynamicTanh()
    layer.build((None, 5, 3))
    shapes = [(weight.name, tuple(weight.shape)) for weight in layer.weights]
    assert shapes == [("alpha", ()), ("gamma", (3,)), ("beta", (3,))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axis": 0}, r"`axis` of DynamicTanh .*Received: axis=0"),
        ({"alpha_initial_value": 0}, r"`alpha_initial_value` .* above 0.*Received: alpha_initial_value=0"),
    ],
)
def test_wrong_arguments_raise_when_the_layer_is_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        DynamicTanh(**arguments)


def test_wrong_shapes_raise_when_the_layer_is_built():
    with pytest.raises(ValueError, match=r"`axis` of DynamicTanh 'norm' .*Received: axis=2"):
        DynamicTanh(axis=2, name="norm").build((None, 4))
    with pytest.raises(ValueError, match="known number of channels"):
        DynamicTanh().build((None, None))
