"""Masks of random blocks that lie wholly within a map, and how many of them cover a given share of it."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import keras
from keras import ops

# Newton's method comes from below and doubles its digits near the end; 12 steps reach float32 up to a share of 0.99.
_NEWTON_STEPS = 12


def seed_probability(rate: Any, sizes: Sequence[Any], block_sizes: Sequence[int]) -> Any:
    """Probability with which a block must start at each place where it fits, for the share covered to be `rate`.

    A position that `n` places can cover is dropped with probability `1 - (1 - γ)^n`; γ is such that this is `rate` on
    average over the map. To first order in `rate` that is equation 1 of the paper, `rate / block · map / places`, with
    the number of activations in a block, in the map and of places where a block fits; the paper calls its equation an
    approximation because it counts twice what two blocks cover.

    Args:
        rate: Scalar float32 tensor in [0, 1), the share to cover.
        sizes: Size of the map on each spatial axis, integers or scalar tensors.
        block_sizes: Size of a block on each spatial axis; one larger than the map counts as large as the map.

    Returns:
        Scalar float32 tensor in [0, 1).

    Source:
        Ghiasi et al. 2018, arXiv:1810.12890, equation 1.
    """
    coverage = reduce(
        lambda product, vector: ops.reshape(product, (-1, 1)) * vector,
        (_places_that_cover(size, block) for size, block in zip(sizes, block_sizes, strict=True)),
    )
    # The intensity is -log(1 - γ), and the share kept is mean(exp(-intensity · n)). Its logarithm is convex in the
    # intensity, so that Newton's method rises towards the solution and never passes it.
    target = ops.log1p(-rate)
    intensity = ops.zeros_like(rate)
    for _ in range(_NEWTON_STEPS):
        dropped = -ops.expm1(-intensity * coverage)
        kept = 1 - ops.mean(dropped)
        slope = ops.mean(coverage * (1 - dropped)) / kept
        intensity = intensity + (ops.log1p(-ops.mean(dropped)) - target) / slope
    return -ops.expm1(-intensity)


def kept_mask(
    probability: Any, batch: Any, sizes: Sequence[Any], channels: Any, block_sizes: Sequence[int], seed: Any
) -> Any:
    """Draws blocks and gives 0 where one lies and 1 elsewhere.

    Args:
        probability: Scalar, the probability of a block at each place where it fits.
        batch: Number of samples.
        sizes: Size of the map on each spatial axis, integers or scalar tensors.
        channels: Number of channels that have blocks of their own.
        block_sizes: Size of a block on each spatial axis.
        seed: The `keras.random.SeedGenerator` to draw with.

    Returns:
        Float32 tensor `(batch, …, channels)` with the spatial axes in between.
    """
    places = [_places(size, block) for size, block in zip(sizes, block_sizes, strict=True)]
    draws = keras.random.uniform((batch, *places, channels), dtype="float32", seed=seed)
    seeds = ops.cast(draws < probability, "float32")
    # A block starts at its seed: every position looks at the block of places that ends with it. Where the block is
    # larger than the map there is one place, and the positions beyond the map are cut off.
    margins = [(block - 1, block - 1) for block in block_sizes]
    dropped = ops.pad(seeds, [(0, 0), *margins, (0, 0)])
    # One axis at a time: under XLA a window over all axes takes 7 to 10 times as long.
    for axis, block in enumerate(block_sizes):
        window = tuple(block if other == axis else 1 for other in range(len(block_sizes)))
        dropped = ops.max_pool(dropped, window, strides=1, padding="valid", data_format="channels_last")
    within = (slice(None), *(slice(0, size) for size in sizes))
    return 1 - dropped[within]


def _places(size: Any, block: int) -> Any:
    """Number of places on an axis where a block fits, 1 if it is larger than the axis."""
    if isinstance(size, int):
        return max(size - block + 1, 1)
    return ops.maximum(size - block + 1, 1)


def _places_that_cover(size: Any, block: int) -> Any:
    """Number of places from which a block covers each position of an axis."""
    positions = ops.arange(size, dtype="int32")
    last = ops.minimum(positions, _places(size, block) - 1)
    first = ops.maximum(positions - block + 1, 0)
    return ops.cast(last - first + 1, "float32")
