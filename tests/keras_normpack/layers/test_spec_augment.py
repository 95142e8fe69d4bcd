"""SpecAugment masks and warps as the paper says, each sample on its own, padding apart."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import SpecAugment
from keras_normpack.layers.augmentation.time_steps import Steps
from keras_normpack.layers.augmentation.time_warp import random_time_warp
from keras_normpack.testing import check_layer

NOTHING = {"time_warp": 0, "frequency_mask": 0, "time_mask": 0}


def in_training(layer, inputs, **options):
    return ops.convert_to_numpy(ops.cast(layer(inputs, **options), "float32"))


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (NOTHING, (4, 6, 3)),
        ({"time_warp": 0, "frequency_masks": 0, "time_masks": 0, "mask_value": 0.5, "seed": 1}, (2, 6, 5, 2)),
    ],
)
def test_without_strength_it_conforms_as_the_identity(options, shape):
    check_layer(SpecAugment, options, shape, dynamic_axes=(1,), expected=lambda inputs, weights: inputs)


def test_is_active_in_training_only(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 20, 6, 2)).astype("float32")
    model = keras.Sequential([keras.Input((None, 6, 2)), SpecAugment(4, 3, 2, 6, 2, 0.5, 0.0)])
    model.save(tmp_path / "model.keras")
    for each in (model, keras.saving.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(each.predict(values, verbose=0), values)
        assert (in_training(each, values, training=True) != values).any()


def test_trains_compiled_on_unknown_lengths():
    model = keras.Sequential([keras.Input((None, 6)), SpecAugment(seed=0)])
    model.compile(loss="mse", jit_compile=keras.backend.backend() != "torch")
    for length in (20, 7, 1):
        values = np.random.default_rng(0).normal(size=(8, length, 6)).astype("float32")
        assert model.train_on_batch(values, values) > 0


def bands(**options):
    """Where a map of ones was set to 0, `(samples, time, frequency)`."""
    layer = SpecAugment(**{**NOTHING, "mask_value": 0.0, "seed": 0, **options})
    return in_training(layer, np.ones((20000, 12, 8), "float32")) == 0


@pytest.mark.parametrize(("axis", "name", "size"), [(1, "frequency", 8), (2, "time", 12)])
@pytest.mark.parametrize("widest", [3, 100])
def test_band_widths_and_places_are_uniform(axis, name, size, widest):
    masked = bands(**{f"{name}_mask": widest})
    assert (masked.all(axis) == masked.any(axis)).all()
    masked = masked.any(axis)
    samples, widest = len(masked), min(widest, size)
    widths = masked.sum(1)
    starts = masked.argmax(1)
    assert (masked == ((np.arange(size) >= starts[:, None]) & (np.arange(size) < (starts + widths)[:, None]))).all()
    for width in range(widest + 1):
        share = 1 / (widest + 1)
        assert abs((widths == width).mean() - share) < 5 * np.sqrt(share * (1 - share) / samples)
        if width:
            of_width = starts[widths == width]
            share = 1 / (size - width + 1)
            for start in range(size - width + 1):
                limit = 5 * np.sqrt(share * (1 - share) / len(of_width)) + 1e-9
                assert abs((of_width == start).mean() - share) <= limit


def test_several_bands_may_overlap_and_are_drawn_for_each_sample():
    one, two = (bands(frequency_mask=3, frequency_masks=number).any(1) for number in (1, 2))
    samples = len(one)
    once, twice = one.mean(0), two.mean(0)
    expected = 1 - (1 - once) ** 2
    assert (np.abs(twice - expected) < 5 * 2 * np.sqrt(0.25 / samples)).all()
    assert len({row.tobytes() for row in two}) > 10


def test_the_ratio_limits_the_time_bands():
    assert bands(time_mask=100, time_mask_ratio=0.3).any(2).sum(1).max() == 3


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_mean_is_that_of_each_sample_and_channel(dtype):
    values = np.random.default_rng(0).uniform(0, 200, (4, 40, 30, 2)).astype("float32")
    layer = SpecAugment(0, 100, 1, 100, 1, seed=0, dtype=dtype)
    outputs = in_training(layer, values)
    desired = values.astype("float64").mean((1, 2), keepdims=True)
    changed = np.abs(outputs - values) > 1
    assert changed.mean() > 0.2
    np.testing.assert_allclose(
        outputs[changed], np.broadcast_to(desired, values.shape)[changed], rtol=1e-5 if dtype == "float32" else 1e-3
    )


@pytest.mark.parametrize("padded_first", [False, True])
def test_padding_is_neither_looked_at_nor_changed(padded_first):
    values = np.random.default_rng(0).normal(3.0, 1.0, (300, 16, 5)).astype("float32")
    lengths = np.random.default_rng(1).integers(0, 17, (300, 1))
    mask = np.arange(16) >= 16 - lengths if padded_first else np.arange(16) < lengths
    values[~mask] = 1e6
    outputs = in_training(SpecAugment(4, 2, 2, 5, 2, seed=0), values, mask=ops.convert_to_tensor(mask))
    np.testing.assert_array_equal(outputs[~mask], values[~mask])
    assert (outputs[mask] < 1000).all()
    assert (outputs[mask] != values[mask]).any()


def warped(values, farthest, mask=None, seed=0):
    values = ops.convert_to_tensor(values)
    generator = keras.random.SeedGenerator(seed)
    return ops.convert_to_numpy(random_time_warp(values, Steps.of(values, mask), farthest, generator))


@pytest.mark.parametrize(("length", "farthest"), [(40, 8), (9, 100), (2, 1), (1, 5)])
def test_a_warp_moves_one_step_and_keeps_the_ends(length, farthest):
    samples, last = 3000, length - 1
    ramp = np.broadcast_to(np.arange(length, dtype="float32")[:, None], (samples, length, 1))
    sources = warped(ramp, farthest)[..., 0].astype("float64")
    np.testing.assert_allclose(sources[:, [0, -1]], [[0, last]] * samples, atol=1e-3)
    assert (np.diff(sources) > -1e-4).all()
    # Two straight parts: all bend lies between two neighbouring differences.
    bend = np.abs(np.diff(sources, 2)) > 1e-3
    assert bend.sum(1).max(initial=0) <= 2
    reach = min(farthest, last / 2)
    assert np.abs(sources - np.arange(length)).max() <= reach + 1e-3
    if length > 2:
        assert np.abs(sources - np.arange(length)).max() > 0.8 * reach
    # To either side as often and as far: mirrored in time, the warps are the same on average.
    asymmetry = sources + sources[:, ::-1] - last
    assert (np.abs(asymmetry.mean(0)) <= 5 * asymmetry.std(0) / np.sqrt(samples) + 1e-3).all()


def test_a_warp_interpolates_between_steps():
    values = np.random.default_rng(0).normal(size=(50, 10, 3)).astype("float32")
    ramp = np.broadcast_to(np.arange(10, dtype="float32")[:, None], (50, 10, 1))
    outputs, sources = np.split(warped(np.concatenate([values, ramp], -1), 4), [3], axis=-1)
    for sample, output, source in zip(values, outputs, sources[..., 0], strict=True):
        for channel in range(3):
            np.testing.assert_allclose(
                output[:, channel], np.interp(source, np.arange(10), sample[:, channel]), atol=1e-4
            )


@pytest.mark.tensorflow_only
def test_augments_in_a_tf_data_pipeline():
    import tensorflow as tf

    values = np.random.default_rng(0).normal(size=(8, 10, 6)).astype("float32")
    (batch,) = tf.data.Dataset.from_tensor_slices(values).batch(8).map(SpecAugment(2, 3, 1, 4, 1, seed=0))
    assert batch.shape == (8, 10, 6)
    assert (batch.numpy() != values).any((1, 2)).sum() > 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_warp": -1}, "`time_warp` of SpecAugment must be an integer from 0. Received: time_warp=-1"),
        ({"frequency_masks": 1.5}, "`frequency_masks` .*Received: frequency_masks=1.5"),
        ({"time_mask_ratio": 1.5}, "`time_mask_ratio` of SpecAugment .*Received: time_mask_ratio=1.5"),
        ({"mask_value": "median"}, "`mask_value` of SpecAugment .*Received: mask_value='median'"),
    ],
)
def test_wrong_arguments_raise(options, message):
    with pytest.raises(ValueError, match=message):
        SpecAugment(**options)


def test_wrong_inputs_raise():
    with pytest.raises(ValueError, match=r"\(batch, time, frequency\) or .*Received: input_shape=\(2, 3\)"):
        SpecAugment()(np.ones((2, 3)))
    with pytest.raises(ValueError, match="Received: inputs of dtype int32"):
        SpecAugment()(np.ones((2, 3, 4), "int32"))
