"""`TLU` against its formula and ReLU."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import TLU
from keras_normpack.testing import check_layer

QUARTER = keras.initializers.Constant(0.25)


def formula(axis=-1):
    def compute(inputs, weights):
        shape = [-1 if other == axis % inputs.ndim else 1 for other in range(inputs.ndim)]
        lower = weights["tau"].reshape(shape)
        if "alpha" in weights:
            lower = lower + weights["alpha"].reshape(shape) * inputs
        return np.maximum(inputs, lower)

    return compute


@pytest.mark.parametrize(
    ("arguments", "shape", "dynamic_axes"),
    [
        ({}, (3, 4), ()),
        ({}, (2, 5, 6, 3), (1, 2)),
        ({"affine": True, "tau_regularizer": "l2", "alpha_initializer": QUARTER}, (2, 7, 3), (1,)),
        (
            {"affine": True, "axis": 1, "alpha_initializer": QUARTER, "alpha_constraint": "non_neg"},
            (2, 3, 5, 4),
            (2, 3),
        ),
    ],
)
def test_conforms(arguments, shape, dynamic_axes):
    check_layer(TLU, arguments, shape, dynamic_axes=dynamic_axes, expected=formula(arguments.get("axis", -1)))


@pytest.mark.parametrize("affine", [False, True])
def test_begins_as_a_relu(affine):
    inputs = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(TLU(affine)(inputs)), np.maximum(inputs, 0))


def test_weights_are_tau_then_alpha():
    layer = TLU(affine=True)
    layer.build((None, 4, 4, 3))
    assert [(weight.name, tuple(weight.shape)) for weight in layer.weights] == [("tau", (3,)), ("alpha", (3,))]


def test_wrong_axes_raise():
    with pytest.raises(ValueError, match=r"`axis` of TLU .*Received: axis=0"):
        TLU(axis=0)
    with pytest.raises(ValueError, match=r"`axis` of TLU 'unit' .*Received: axis=3"):
        TLU(axis=3, name="unit").build((None, 4, 4))
    with pytest.raises(ValueError, match="known number of channels"):
        TLU().build((None, 4, None))
