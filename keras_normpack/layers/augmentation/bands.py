"""Random bands along an axis."""

from typing import Any

import keras
from keras import ops


def random_bands(positions: Any, sizes: Any, widest: Any, number: int, seed: Any) -> Any:
    """Draws bands of random width and place and gives true within.

    The width is one of 0 to `widest`, the start one of all where the band fits, each equally likely.

    Args:
        positions: Integer tensor `(batch, n)`, the position of each of n places; those outside 0 to size - 1 lie in
            no band.
        sizes: Integer tensor `(batch, 1)`, the number of positions.
        widest: Integer tensor `(batch, 1)` from 0 to `sizes`.
        number: Integer, the number of bands; they may overlap.
        seed: The `keras.random.SeedGenerator` to draw with.

    Returns:
        Boolean tensor `(batch, n)`.
    """
    draws = keras.random.uniform((2, ops.shape(positions)[0], number), dtype="float32", seed=seed)
    widths = _below(draws[0], widest + 1)
    starts = _below(draws[1], sizes - widths + 1)
    positions = ops.expand_dims(positions, -1)
    starts, widths = ops.expand_dims(starts, 1), ops.expand_dims(widths, 1)
    return ops.any(ops.logical_and(positions >= starts, positions < starts + widths), axis=-1)


def _below(draws: Any, limits: Any) -> Any:
    """Integers from 0 to below the limits, from draws in [0, 1)."""
    scaled = ops.cast(ops.floor(draws * ops.cast(limits, "float32")), "int32")
    # A draw next to 1 times a large limit may round up to it.
    return ops.minimum(scaled, limits - 1)
