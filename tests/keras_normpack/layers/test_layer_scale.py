"""`LayerScale` against its formula."""

import numpy as np
import pytest
from keras import ops

from keras_normpack import LayerScale
from keras_normpack.testing import check_layer


def formula(axis=-1):
    def compute(inputs, weights):
        shape = [-1 if other == axis % inputs.ndim else 1 for other in range(inputs.ndim)]
        return weights["gamma"].reshape(shape) * inputs

    return compute


@pytest.mark.parametrize(
    ("arguments", "shape", "dynamic_axes"),
    [
        ({"initial_value": 0.1}, (3, 4), ()),
        ({}, (2, 7, 3), (1,)),
        ({"initial_value": 0.1, "axis": 1}, (2, 3, 5, 4), (2, 3)),
    ],
)
def test_conforms(arguments, shape, dynamic_axes):
    check_layer(LayerScale, arguments, shape, dynamic_axes=dynamic_axes, expected=formula(arguments.get("axis", -1)))


def test_begins_near_0():
    outputs = ops.convert_to_numpy(LayerScale(dtype="float64")(np.ones((2, 3))))
    np.testing.assert_allclose(outputs, 1e-5, rtol=1e-7)


def test_keeps_the_digits_of_a_small_scale_under_mixed_precision():
    outputs = ops.convert_to_numpy(LayerScale(dtype="mixed_float16")(np.full((1, 2), 1000.0)))
    np.testing.assert_allclose(outputs.astype("float64"), 1e-2, rtol=5e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axis": 0}, r"`axis` of LayerScale .*Received: axis=0"),
        ({"initial_value": 0}, r"`initial_value` .* above 0.*Received: initial_value=0"),
    ],
)
def test_wrong_arguments_raise_when_the_layer_is_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        LayerScale(**arguments)


def test_wrong_shapes_raise_when_the_layer_is_built():
    with pytest.raises(ValueError, match=r"`axis` of LayerScale 'scale' .*Received: axis=-2"):
        LayerScale(axis=-2, name="scale").build((None, 4))
    with pytest.raises(ValueError, match="known number of channels"):
        LayerScale().build((None, None))
