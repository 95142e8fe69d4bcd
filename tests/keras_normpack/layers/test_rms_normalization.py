"""`RMSNormalization` against its formula, and against Keras's where that is right."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import RMSNormalization
from keras_normpack.kernels import Call, choose
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.drop_in import assert_same, check_interchange, data, float64, pair, passes


def formula(axis=-1, epsilon=1e-6, offset=0.0):
    def compute(inputs, weights):
        axes = (axis,) if isinstance(axis, int) else tuple(axis)
        normalized = inputs / np.sqrt((inputs**2).mean(axes, keepdims=True) + epsilon)
        along = {one % inputs.ndim for one in axes}
        shape = [size if position in along else 1 for position, size in enumerate(inputs.shape)]
        return normalized * (offset + weights["scale"].reshape(shape))

    return compute


@pytest.mark.parametrize(
    ("arguments", "shape", "dynamic_axes"),
    [
        ({}, (2, 5, 6), (1,)),
        ({"axis": 1, "epsilon": 0.1}, (2, 6, 6), (2,)),
        ({"axis": [1, 2]}, (2, 4, 4, 3), (3,)),
        ({"unit_offset": True}, (3, 4), ()),
        ({"unit_offset": True, "axis": [1, -1]}, (2, 3, 4, 3), ()),
        ({"scale_initializer": "zeros", "scale_constraint": "non_neg", "scale_regularizer": "l2"}, (2, 5, 6), ()),
    ],
)
def test_conforms(arguments, shape, dynamic_axes):
    offset = 1.0 if arguments.get("unit_offset") else 0.0
    expected = formula(arguments.get("axis", -1), arguments.get("epsilon", 1e-6), offset)
    check_layer(RMSNormalization, arguments, shape, dynamic_axes=dynamic_axes, expected=expected)


@pytest.mark.tensorflow_only
def test_a_kernel_is_chosen():
    assert choose("rms_normalization", Call.of(ops.zeros((64, 32, 128)), -1)) is not None


# That is the first shape.
@pytest.mark.parametrize("shape", [(64, 32, 128), (3, 4, 5), (4, 7)])
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("float32", 1e-5), ("mixed_float16", 2e-3), ("mixed_bfloat16", 1.6e-2)]
)
def test_matches_keras_along_the_last_axis(shape, policy, tolerance):
    inputs, cotangent = data(shape, keras.DTypePolicy(policy).compute_dtype)
    layers = pair(RMSNormalization, keras.layers.RMSNormalization, shape, dtype=policy)
    assert_same(*(passes(layer, inputs, cotangent) for layer in layers), tolerance)


def test_scale_lies_along_the_axis_even_where_the_last_one_has_the_same_size():
    scale = np.array([1.0, 10.0, 100.0])
    layer = RMSNormalization(axis=1)
    layer.build((2, 3, 3))
    layer.set_weights([scale])
    inputs = np.random.default_rng(0).normal(size=(2, 3, 3))
    np.testing.assert_allclose(float64(layer(inputs)), formula(1)(inputs, {"scale": scale}), rtol=1e-5)


@pytest.mark.parametrize("shape", [(64, 32, 128), (3, 5, 4)])
def test_squares_of_large_float16_inputs_do_not_overflow(shape):
    inputs = np.random.default_rng(0).normal(0.0, 8000.0, shape).astype("float16")
    layer = RMSNormalization(dtype="mixed_float16")
    outputs = float64(layer(inputs))
    assert layer.scale.dtype == "float32"
    np.testing.assert_allclose(outputs, formula()(inputs.astype("float64"), {"scale": np.ones(shape[-1])}), atol=4e-3)


def test_with_unit_offset_it_begins_as_without():
    inputs, _ = data((2, 5, 6))
    plain, offset = RMSNormalization(), RMSNormalization(unit_offset=True)
    np.testing.assert_array_equal(float64(offset(inputs)), float64(plain(inputs)))
    assert not float64(offset.scale).any()


def test_regularizer_and_constraint_act_on_scale():
    layer = RMSNormalization(scale_initializer="ones", scale_regularizer=keras.regularizers.L1(0.5))
    layer.build((2, 3))
    assert float(sum(layer.losses)) == pytest.approx(1.5)
    assert RMSNormalization(scale_constraint="non_neg").scale_constraint is not None


def test_config_is_that_of_keras_until_something_of_our_own_is_asked_for():
    assert RMSNormalization(name="norm").get_config().keys() == keras.layers.RMSNormalization().get_config().keys()
    ours = RMSNormalization(unit_offset=True, scale_regularizer="l2").get_config()
    assert ours["unit_offset"] is True
    again = RMSNormalization.from_config(ours)
    assert again.unit_offset
    assert isinstance(again.scale_regularizer, keras.regularizers.L2)


@pytest.mark.parametrize("arguments", [{}, {"epsilon": 1e-3}])
def test_what_keras_saves_loads_and_back(arguments, tmp_path):
    check_interchange(RMSNormalization, keras.layers.RMSNormalization, (4, 5, 6), tmp_path, **arguments)


@pytest.mark.parametrize(
    ("axis", "shape", "message"),
    [
        (3, (None, 8, 3), r"`axis` of RMSNormalization 'norm' .* from -3 to 2.* Received: axis=3"),
        (1, (None, None, 3), r"along axis 1, so its size must be known.* Received: input_shape=\(None, None, 3\)"),
    ],
)
def test_wrong_shapes_raise_when_the_layer_is_built(axis, shape, message):
    with pytest.raises(ValueError, match=message):
        RMSNormalization(axis=axis, name="norm").build(shape)
