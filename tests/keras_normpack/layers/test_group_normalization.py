"""`GroupNormalization` is Keras's where there is no mask, and its formula on what a mask leaves."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_normpack import GroupNormalization
from keras_normpack.kernels import Call, choose
from keras_normpack.testing import check_layer
from keras_normpack.testing.closeness import tolerance
from tests.keras_normpack.layers.drop_in import assert_same, check_interchange, data, float64, pair, passes


def formula(groups, axis=-1, epsilon=1e-3):
    def compute(inputs, weights):
        moved = np.moveaxis(inputs, axis, -1)
        channels = moved.shape[-1]
        count = channels if groups == -1 else groups
        grouped = moved.reshape(*moved.shape[:-1], count, channels // count)
        reduced = (*range(1, moved.ndim - 1), moved.ndim)
        mean, variance = grouped.mean(reduced, keepdims=True), grouped.var(reduced, keepdims=True)
        normalized = ((grouped - mean) / np.sqrt(variance + epsilon)).reshape(moved.shape)
        outputs = normalized * weights.get("gamma", 1.0) + weights.get("beta", 0.0)
        return np.moveaxis(outputs, -1, axis)

    return compute


@pytest.mark.parametrize(
    ("arguments", "shape", "dynamic_axes"),
    [
        ({"groups": 2}, (2, 5, 6, 4), (1, 2)),
        ({"groups": 3, "axis": 1, "epsilon": 0.1}, (2, 6, 5, 3), (2, 3)),
        ({"groups": -1, "center": False}, (2, 7, 3), (1,)),
        ({"groups": 1, "axis": 2, "scale": False}, (2, 3, 4, 3), ()),
        ({"groups": 2}, (3, 6), ()),
    ],
)
def test_conforms(arguments, shape, dynamic_axes):
    expected = formula(arguments["groups"], arguments.get("axis", -1), arguments.get("epsilon", 1e-3))
    check_layer(GroupNormalization, arguments, shape, dynamic_axes=dynamic_axes, expected=expected)


@pytest.mark.tensorflow_only
def test_a_kernel_is_chosen():
    assert choose("group_normalization", Call.of(ops.zeros((8, 16, 16, 64)), -1)) is not None


# That is the first shape.
@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((8, 16, 16, 64), {"groups": 8}),
        ((8, 32, 16, 16), {"groups": 4, "axis": 1}),
        ((2, 3, 4, 6), {"groups": 3, "center": False}),
        ((2, 5, 6), {"groups": -1, "scale": False}),
        ((2, 3, 4, 6, 5), {"groups": 2, "axis": -2}),
        ((4, 6), {"groups": 2, "epsilon": 1e-6}),
    ],
)
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("float32", 1e-5), ("mixed_float16", 2e-3), ("mixed_bfloat16", 1.6e-2)]
)
def test_matches_keras_in_outputs_and_gradients(shape, arguments, policy, tolerance):
    inputs, cotangent = data(shape, keras.DTypePolicy(policy).compute_dtype)
    layers = pair(GroupNormalization, keras.layers.GroupNormalization, shape, dtype=policy, **arguments)
    assert_same(*(passes(layer, inputs, cotangent) for layer in layers), tolerance)


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    filler=st.sampled_from([0.0, 7.0, -1e6]),
    groups=st.sampled_from([1, 2, -1]),
    channels_first=st.booleans(),
)
@settings(max_examples=15)
def test_padding_with_anything_and_masking_it_changes_nothing(lengths, filler, groups, channels_first):
    mask = np.arange(6) < np.array(lengths)[:, None]
    values = np.random.default_rng(0).normal(3.0, 2.0, (*mask.shape, 4))
    padded = np.where(mask[..., None], values, filler)
    axis = 1 if channels_first else -1
    layer = GroupNormalization(groups, axis=axis, dtype="float64")
    outputs = np.moveaxis(float64(layer(np.moveaxis(padded, -1, axis), mask=mask)), axis, -1)
    for sample, length in enumerate(lengths):
        alone = formula(groups)(values[sample : sample + 1, :length], {})[0]
        np.testing.assert_allclose(outputs[sample, :length], alone, atol=tolerance("float64"))


def test_a_mask_over_the_outer_axis_covers_the_inner_ones():
    inputs = np.random.default_rng(0).normal(3.0, 2.0, (2, 5, 3, 3, 4))
    outputs = float64(GroupNormalization(2, dtype="float64")(inputs, mask=np.arange(5) < np.array([[5], [2]])))
    np.testing.assert_allclose(outputs[1, :2], formula(2)(inputs[1:, :2], {})[0], atol=tolerance("float64"))


def test_a_sample_without_a_valid_step_stays_finite_and_has_finite_gradients():
    inputs, cotangent = data((2, 5, 4))
    layer = GroupNormalization(2)
    layer.build(inputs.shape)
    results = passes(layer, inputs, cotangent, mask=np.array([[True] * 5, [False] * 5]))
    assert all(np.isfinite(result).all() for result in results)


def test_what_the_mask_hides_changes_nothing_in_a_recurrent_model():
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, keras.layers.LSTM(3)(GroupNormalization(2)(keras.layers.Masking()(inputs))))
    series = np.random.default_rng(0).normal(size=(2, 4, 4)).astype("float32")
    padded = np.concatenate([series, np.zeros((2, 3, 4), "float32")], axis=1)
    np.testing.assert_allclose(model.predict(padded, verbose=0), model.predict(series, verbose=0), atol=1e-6)


def test_one_group_per_channel_survives_building_and_fits_other_inputs():
    layer = GroupNormalization(-1)
    layer(np.ones((2, 5, 4)))
    assert layer.get_config()["groups"] == -1
    again = GroupNormalization.from_config(layer.get_config())
    assert tuple(again(np.ones((2, 5, 7))).shape) == (2, 5, 7)


@pytest.mark.parametrize("arguments", [{"groups": 2}, {"groups": -1}, {"groups": 5, "axis": 1, "scale": False}])
def test_what_keras_saves_loads_and_back(arguments, tmp_path):
    check_interchange(GroupNormalization, keras.layers.GroupNormalization, (4, 5, 6), tmp_path, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": 0}, "`groups`.*Received: groups=0"),
        ({"groups": 2.0}, r"`groups`.*Received: groups=2\.0"),
        ({"axis": 0}, "`axis` of GroupNormalization .* other than 0.* Received: axis=0"),
        ({"axis": (1, 2)}, r"Received: axis=\(1, 2\)"),
    ],
)
def test_wrong_arguments_raise_when_the_layer_is_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        GroupNormalization(**arguments)


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        ({}, (None, 8, 48), r"'norm' must divide .* 48: .* are 24, the largest common divisor is 16.* groups=32"),
        ({}, (None, 8, 20), r"are 20, the largest common divisor is 4;.* Received: groups=32"),
        ({"axis": -3}, (None, 8, 4), "`axis` of GroupNormalization 'norm' .* Received: axis=-3"),
        ({"axis": 3}, (None, 8, 4), "Received: axis=3"),
        ({}, (None, 8, None), r"known number of channels .* Received: input_shape=\(None, 8, None\)"),
    ],
)
def test_wrong_shapes_raise_when_the_layer_is_built(arguments, shape, message):
    with pytest.raises(ValueError, match=message):
        GroupNormalization(**arguments, name="norm").build(shape)
