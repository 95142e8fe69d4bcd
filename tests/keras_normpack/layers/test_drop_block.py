"""DropBlock drops blocks within the map, as much as it was told, wherever and whatever the map's sides are."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import DropBlock1D, DropBlock2D, DropBlock3D
from keras_normpack.layers.regularization.block_mask import seed_probability
from keras_normpack.testing import check_layer

LAYERS = {1: DropBlock1D, 2: DropBlock2D, 3: DropBlock3D}


def in_training(layer, inputs):
    return ops.convert_to_numpy(layer(inputs, training=True))


def coverage(sizes, blocks):
    """Number of places that cover each position, counted one by one."""
    counts = np.zeros(sizes)
    blocks = np.minimum(blocks, sizes)
    for start in np.ndindex(*(size - block + 1 for size, block in zip(sizes, blocks, strict=True))):
        counts[tuple(slice(first, first + block) for first, block in zip(start, blocks, strict=True))] += 1
    return counts


@pytest.mark.parametrize(
    ("layer_class", "options", "shape"),
    [
        (DropBlock1D, {"block_size": 3, "per_channel": False}, (4, 6, 3)),
        (DropBlock2D, {"block_size": (2, 9), "data_format": "channels_first", "per_channel": True}, (2, 3, 5, 6)),
        (DropBlock3D, {"block_size": 2}, (2, 3, 4, 5, 2)),
    ],
)
def test_conforms(layer_class, options, shape):
    options = {"rate": 0.3, "seed": 0, **options}
    check_layer(
        layer_class,
        options,
        shape,
        dynamic_axes=(2,) if len(shape) > 3 else (1,),
        expected=lambda inputs, weights: inputs,
    )


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.95])
@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [((14, 14), (7, 7)), ((6, 30), (3, 8)), ((40,), (4,)), ((5, 5), (9, 2)), ((4, 6, 5), (3, 2, 5)), ((3,), (1,))],
)
def test_the_expected_share_is_the_rate(rate, sizes, blocks):
    probability = seed_probability(ops.convert_to_tensor(rate, "float32"), sizes, blocks)
    share = np.mean(1 - (1 - float(probability)) ** coverage(sizes, blocks))
    np.testing.assert_allclose(share, rate, rtol=1e-5)


def test_the_probability_is_equation_one_for_small_rates():
    rate, size, block = 1e-4, 14, 7
    equation_one = rate / block**2 * size**2 / (size - block + 1) ** 2
    probability = float(seed_probability(ops.convert_to_tensor(rate, "float32"), (size, size), (block, block)))
    np.testing.assert_allclose(probability, equation_one, rtol=2e-4)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("sizes", "block"), [((20,), 4), ((5, 13), (4, 3)), ((5, 13), (9, 2)), ((4, 5, 6), 2)])
def test_drops_the_rate_at_every_place_of_the_map(sizes, block, per_channel):
    rate, samples, channels = 0.3, 3000, 2
    layer = LAYERS[len(sizes)](rate, block, per_channel=per_channel, data_format="channels_last", seed=1)
    dropped = in_training(layer, np.ones((samples, *sizes, channels), "float32")) == 0
    blocks = np.broadcast_to(block, len(sizes))
    counts = coverage(sizes, blocks)
    probability = float(seed_probability(ops.convert_to_tensor(rate, "float32"), sizes, blocks.tolist()))
    expected = 1 - (1 - probability) ** counts
    deviation = np.sqrt(expected * (1 - expected) / samples)
    # Five standard deviations at every position, borders included, and of the mean over samples for the whole map.
    assert (np.abs(dropped.mean(0) - expected[..., None]) < 5 * deviation[..., None]).all()
    share = dropped.reshape(samples, -1).mean(1)
    assert abs(share.mean() - rate) < 5 * share.std() / np.sqrt(samples)
    same = (dropped[..., 0] == dropped[..., 1]).all()
    assert same == (not per_channel)


@pytest.mark.parametrize("block", [2, 3])
def test_what_is_dropped_is_a_union_of_whole_blocks(block):
    layer = DropBlock2D(0.2, block, data_format="channels_last", seed=3)
    dropped = in_training(layer, np.ones((50, 7, 6, 1), "float32"))[..., 0] == 0
    covered = np.zeros_like(dropped)
    for row in range(7 - block + 1):
        for column in range(6 - block + 1):
            whole = dropped[:, row : row + block, column : column + block].all((1, 2))
            covered[:, row : row + block, column : column + block] |= whole[:, None, None]
    assert dropped.any()
    np.testing.assert_array_equal(covered, dropped)


def test_a_block_larger_than_the_map_drops_whole_samples():
    rate, samples = 0.25, 4000
    layer = DropBlock2D(rate, 50, data_format="channels_last", per_channel=False, seed=0)
    dropped = (in_training(layer, np.ones((samples, 3, 5, 2), "float32")) == 0).reshape(samples, -1)
    assert (dropped == dropped[:, :1]).all()
    assert abs(dropped[:, 0].mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / samples)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "float64"])
def test_what_is_kept_is_divided_by_the_share_the_batch_kept(dtype):
    inputs = np.random.default_rng(0).normal(1.0, 1.0, (4, 8, 9, 3))
    layer = DropBlock2D(0.3, 3, data_format="channels_last", seed=0, dtype=dtype)
    outputs = in_training(layer, inputs).astype("float64")
    kept = outputs != 0
    np.testing.assert_allclose(outputs, np.where(kept, inputs / kept.mean(), 0), rtol=4e-3 if "16" in dtype else 1e-5)


def test_a_fully_dropped_batch_is_zero_not_nan():
    layer = DropBlock1D(0.999, 5, data_format="channels_last", seed=0)
    outputs = in_training(layer, np.ones((1, 5, 2), "float32"))
    np.testing.assert_array_equal(outputs, np.zeros((1, 5, 2)))


@pytest.mark.parametrize("per_channel", [False, True])
def test_channels_first_drops_what_channels_last_drops(per_channel):
    inputs = np.random.default_rng(0).normal(size=(4, 5, 6, 3)).astype("float32")
    options = {"rate": 0.3, "block_size": (2, 3), "per_channel": per_channel, "seed": 5}
    last = in_training(DropBlock2D(data_format="channels_last", **options), inputs)
    first = in_training(DropBlock2D(data_format="channels_first", **options), np.moveaxis(inputs, -1, 1))
    np.testing.assert_array_equal(np.moveaxis(first, 1, -1), last)


def test_unknown_sizes_train_compiled():
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, DropBlock2D(0.5, (3, 4), data_format="channels_last", seed=0)(inputs))
    model.compile(loss="mae", jit_compile=keras.backend.backend() != "torch")
    for height, width in ((9, 5), (2, 12), (1, 1)):
        ones = np.ones((64, height, width, 2), "float32")
        # The mean of the outputs is 1 by the scaling, unless all is dropped; the distance to 2 is 1 then, too.
        np.testing.assert_allclose(model.train_on_batch(ones, 2 * ones), 1.0, atol=0.7)
        outputs = model(ones, training=True)
        np.testing.assert_allclose(float(ops.mean(outputs)), 1.0, rtol=1e-5)


def test_rate_zero_has_no_weight():
    assert DropBlock2D(0.0, 3).variables == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.0}, r"`rate` of DropBlock2D must be a number in \[0, 1\). Received: rate=1.0"),
        ({"block_size": 0}, "`block_size` of DropBlock2D must be an integer from 1. Received: block_size=0"),
        ({"block_size": (2, 2.5)}, "`block_size` of DropBlock2D must be an integer from 1. Received: block_size=2.5"),
        ({"block_size": (2, 2, 2)}, r"must be an integer or 2 of them, one for .*Received: block_size=\(2, 2, 2\)"),
        ({"data_format": "NCHW"}, "`data_format` of DropBlock2D must be .*Received: data_format='NCHW'"),
    ],
)
def test_wrong_arguments_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        DropBlock2D(**{"rate": 0.1, "block_size": 3, **arguments})


def test_inputs_of_another_rank_raise():
    with pytest.raises(ValueError, match="expected ndim=4, found ndim=3"):
        DropBlock2D(0.1, 3)(np.ones((2, 3, 4)))
