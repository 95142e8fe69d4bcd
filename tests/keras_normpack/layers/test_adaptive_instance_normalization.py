"""`AdaptiveInstanceNormalization` against its formula and its own laws."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_normpack import AdaptiveInstanceNormalization
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.tensors import EXACT, float64


def formula(axis=-1, epsilon=1e-5):
    def compute(inputs, weights):
        def statistics(x):
            positions = tuple(other for other in range(1, x.ndim) if other != axis % x.ndim)
            return x.mean(positions, keepdims=True), np.sqrt(x.var(positions, keepdims=True) + epsilon)

        content, style = inputs
        (mean, deviation), (style_mean, style_deviation) = statistics(content), statistics(style)
        return style_deviation * (content - mean) / deviation + style_mean

    return compute


@pytest.mark.parametrize(
    ("arguments", "shapes", "dynamic_axes"),
    [
        ({}, [(2, 5, 6, 3), (2, 4, 3, 3)], (1, 2)),
        ({"epsilon": 0.1}, [(2, 7, 3), (2, 5, 3)], ()),
        ({"axis": 1}, [(2, 3, 5, 4), (2, 3, 2, 6)], (2, 3)),
    ],
)
def test_conforms(arguments, shapes, dynamic_axes):
    expected = formula(arguments.get("axis", -1), arguments.get("epsilon", 1e-5))
    check_layer(AdaptiveInstanceNormalization, arguments, shapes, dynamic_axes=dynamic_axes, expected=expected)


@given(seed=st.integers(0, 99), factor=st.floats(0.1, 10), shift=st.floats(-10, 10))
@settings(max_examples=15, deadline=None)
def test_an_affine_change_of_the_content_changes_nothing(seed, factor, shift):
    content, style = np.random.default_rng(seed).normal(size=(2, 2, 4, 3, 2))
    layer = AdaptiveInstanceNormalization(epsilon=1e-14, dtype="float64")
    outputs = ops.convert_to_numpy(layer([float64(content), float64(style)]))
    changed = ops.convert_to_numpy(layer([float64(factor * content + shift), float64(style)]))
    np.testing.assert_allclose(changed, outputs, atol=1e3 * EXACT)


def test_a_style_of_its_own_changes_nothing():
    content = np.random.default_rng(0).normal(3.0, 2.0, (2, 4, 4, 3))
    outputs = AdaptiveInstanceNormalization(dtype="float64")([float64(content), float64(content)])
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), content, atol=10 * EXACT)


def test_masked_steps_of_either_do_not_count_and_the_content_s_mask_goes_on():
    generator = np.random.default_rng(0)
    content, style = generator.normal(3.0, 2.0, (2, 7, 4)), generator.normal(-1.0, 3.0, (2, 5, 4))
    content[1, 4:], style[1, 3:] = 0.0, 0.0
    masking = keras.layers.Masking(dtype="float64")
    layer = AdaptiveInstanceNormalization(dtype="float64")
    outputs = layer([masking(float64(content)), masking(float64(style))])
    alone = formula()([content[1:, :4], style[1:, :3]], {})[0]
    np.testing.assert_allclose(ops.convert_to_numpy(outputs)[1, :4], alone, atol=10 * EXACT)
    half_masked = layer([float64(content), masking(float64(style))])
    half_alone = formula()([content[1:], style[1:, :3]], {})[0]
    np.testing.assert_allclose(ops.convert_to_numpy(half_masked)[1], half_alone, atol=10 * EXACT)
    # Pooling averages the steps that its mask lets through.
    pooled = keras.layers.GlobalAveragePooling1D(dtype="float64")(outputs)
    np.testing.assert_allclose(ops.convert_to_numpy(pooled)[1], alone.mean(axis=0), atol=10 * EXACT)


def test_statistics_are_float32_under_mixed_precision():
    content, style = np.random.default_rng(0).normal(0.0, 2000.0, (2, 2, 16, 16, 3)).astype("float16")
    outputs = ops.convert_to_numpy(AdaptiveInstanceNormalization(dtype="mixed_float16")([content, style]))
    desired = formula()([content.astype("float64"), style.astype("float64")], {})
    np.testing.assert_allclose(outputs, desired, atol=2e-3 * np.abs(desired).max())


def test_wrong_arguments_raise_when_the_layer_is_made():
    with pytest.raises(ValueError, match=r"`axis` of AdaptiveInstanceNormalization .*Received: axis=0"):
        AdaptiveInstanceNormalization(axis=0)
    with pytest.raises(ValueError, match=r"`epsilon` .*Received: epsilon=0"):
        AdaptiveInstanceNormalization(epsilon=0)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ((None, 8, 8, 3), r"'norm' takes a list of two inputs, `layer\(\[content, style\]\)`.*Received: input_shape="),
        ([(None, 8, 3)], r"takes a list of two inputs"),
        ([(None, 8, 3), (None, 8, 4)], r"same number of channels on axis -1.*Received: input_shape=\[\(None, 8, 3\)"),
        ([(None, 8, 3), (None, 8, 8, 3)], r"same number of axes"),
        ([(None, 3), (None, 3)], r"at least 3 axes"),
        ([(None, 8, 3), (None, 8, None)], r"known number of channels"),
    ],
)
def test_wrong_shapes_raise(shapes, message):
    layer = AdaptiveInstanceNormalization(name="norm")
    with pytest.raises(ValueError, match=message):
        layer.build(shapes)
    with pytest.raises(ValueError, match=message):
        layer.compute_output_shape(shapes)
