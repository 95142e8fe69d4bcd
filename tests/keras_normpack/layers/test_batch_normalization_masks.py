"""In training of `BatchNormalization`, what a mask hides is not there."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_normpack import BatchNormalization
from keras_normpack.testing.closeness import tolerance
from tests.keras_normpack.layers.drop_in import assert_same, data, float64, pair, passes, random_weights

RENORM = {"renorm": True, "renorm_clipping": {"rmin": 0.8, "rmax": 1.2, "dmax": 0.3}, "renorm_momentum": 0.6}


def built(shape, **arguments):
    layer = BatchNormalization(momentum=0.7, **arguments)
    layer.build(shape)
    layer.set_weights(random_weights(layer))
    return layer


@pytest.mark.parametrize("arguments", [{}, {"scale": False}, RENORM])
def test_matches_keras_where_that_is_right(arguments):
    inputs, cotangent = data((8, 5, 6, 3))
    mask = np.random.default_rng(2).random((8, 5, 6)) < 0.5
    layers = pair(BatchNormalization, keras.layers.BatchNormalization, inputs.shape, **arguments)
    assert_same(*(passes(layer, inputs, cotangent, training=True, mask=mask) for layer in layers), 1e-5)


@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5).filter(any),
    filler=st.sampled_from([0.0, 7.0, -1e6, np.inf]),
    channels=st.integers(1, 3),
    channels_first=st.booleans(),
    arguments=st.sampled_from([{}, RENORM]),
)
@settings(max_examples=15)
def test_padding_with_anything_and_masking_it_changes_nothing(lengths, filler, channels, channels_first, arguments):
    mask = np.arange(6) < np.array(lengths)[:, None]
    values = np.random.default_rng(0).normal(3.0, 2.0, (*mask.shape, channels))
    padded = np.where(mask[..., None], values, filler)
    dense = built((None, channels), dtype="float64", **arguments)
    desired = float64(dense(values[mask], training=True))
    axis = 1 if channels_first else -1
    inputs = np.moveaxis(padded, -1, axis)
    layer = built(inputs.shape, dtype="float64", axis=axis, **arguments)
    outputs = np.moveaxis(float64(layer(inputs, mask=mask, training=True)), axis, -1)
    np.testing.assert_allclose(outputs[mask], desired, atol=tolerance("float64"))
    assert_same(
        [float64(value) for value in layer.weights], [float64(value) for value in dense.weights], tolerance("float64")
    )


def test_the_gradient_of_what_is_masked_is_that_of_an_affine_map():
    """Masked positions take part in no statistic, so they feel only their own cotangent."""
    inputs, cotangent = data((4, 5, 3), "float64")
    mask = np.arange(5) < np.array([[5], [2], [0], [3]])
    layer = built((4, 5, 3), dtype="float64")
    scale = float64(layer.gamma) / np.sqrt(float64(inputs)[mask].var(0) + 1e-3)
    _, to_inputs, *_ = passes(layer, inputs, cotangent, mask=mask, training=True)
    np.testing.assert_allclose(to_inputs[~mask], (float64(cotangent) * scale)[~mask], atol=tolerance("float64"))


@pytest.mark.parametrize("arguments", [{}, RENORM])
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_a_batch_without_a_valid_position_leaves_the_averages_alone(dtype, arguments):
    inputs = np.random.default_rng(0).normal(3.0, 1e4, (4, 5, 3)).astype("float16")
    layer = built((4, 5, 3), dtype=dtype, **arguments)
    before = layer.get_weights()
    outputs = float64(layer(inputs, mask=np.zeros((4, 5), bool), training=True))
    assert np.isfinite(outputs).all()
    for value, old in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)
    if not arguments:
        np.testing.assert_allclose(outputs, float64(layer(inputs)), rtol=1e-3)


def test_a_batch_without_a_valid_position_has_finite_gradients():
    inputs, cotangent = data((4, 5, 3))
    layer = built((4, 5, 3))
    results = passes(layer, inputs, cotangent, mask=np.zeros((4, 5), bool), training=True)
    assert all(np.isfinite(result).all() for result in results)


def test_a_mask_over_the_outer_axis_covers_the_inner_ones():
    values = np.random.default_rng(0).normal(3.0, 2.0, (2, 5, 4, 4, 3))
    mask = np.arange(5) < np.array([[5], [2]])
    layer = BatchNormalization(momentum=0.0, dtype="float64")
    layer(values, mask=mask, training=True)
    np.testing.assert_allclose(float64(layer.moving_mean), values[mask].mean((0, 1, 2)), atol=tolerance("float64"))
    np.testing.assert_allclose(float64(layer.moving_variance), values[mask].var((0, 1, 2)), atol=tolerance("float64"))


def test_statistics_under_a_mask_are_float32_in_mixed_precision():
    inputs = np.random.default_rng(0).normal(0.0, 1000.0, (8, 50, 3)).astype("float16")
    mask = np.random.default_rng(1).random((8, 50)) < 0.5
    layer = BatchNormalization(momentum=0.0, dtype="mixed_float16")
    outputs = layer(inputs, mask=mask, training=True)
    assert np.isfinite(float64(outputs)).all()
    np.testing.assert_allclose(float64(layer.moving_variance), inputs.astype("float64")[mask].var(0), rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, "auto"])
def test_padding_behind_a_masking_layer_changes_no_training_step(jit_compile):
    series = np.random.default_rng(0).normal(2.0, 1.0, (10, 4, 3)).astype("float32")
    padded = np.concatenate([series, np.zeros((10, 3, 3), "float32")], axis=1)
    weights = []
    for inputs in (series, padded):
        model = keras.Sequential(
            [keras.Input((None, 3)), keras.layers.Masking(), BatchNormalization(momentum=0.5), LastStep()]
        )
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
        model.fit(inputs, np.ones((10, 3)), batch_size=8, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    assert_same(*weights, tolerance=1e-6)


class LastStep(keras.layers.Layer):
    """Picks the fourth step, the last of the series above."""

    supports_masking = True

    def call(self, inputs):
        return inputs[:, 3]

    def compute_mask(self, inputs, previous_mask):
        return None


def test_a_mask_that_is_no_mask_of_the_inputs_raises():
    layer = BatchNormalization(name="norm")
    with pytest.raises(ValueError, match=r"'norm' expects a mask along .* Received: mask.shape=\(4, 5, 3\)"):
        layer(ops.ones((4, 5, 3)), mask=ops.ones((4, 5, 3)), training=True)
