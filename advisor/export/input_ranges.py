"""Inputs whose features have ranges that one scale for all of them cannot hold in int8."""

from __future__ import annotations

import numpy as np

from advisor.export.samples import Samples

UNEQUAL_RANGES = 100.0
"""One scale has 255 steps: a feature whose range is so many times smaller than the largest has two or three of them."""


def unequal_ranges(samples: Samples) -> tuple[str, ...]:
    """Says which inputs have features of very unequal ranges, and what to do about it.

    Args:
        samples: Inputs of shape `(batch, features)`; others are not looked at, for their channels are of one kind.

    Returns:
        A sentence per input.

    Example:
    >>> rows = np.array([[0.1, 900.0], [0.3, 1200.0]], "float32")
    >>> unequal_ranges(Samples({"measured": rows}, 2))[0][:58]
    "features of input 'measured' have ranges that differ 1,500"
    """
    return tuple(
        f"features of input '{name}' have ranges that differ {ratio:,.0f} times, and an int8 input has one scale for "
        "all: scale them before the model"
        for name, array in samples.arrays.items()
        if array.ndim == 2 and array.dtype.kind == "f" and (ratio := _ratio(array)) > UNEQUAL_RANGES
    )


def _ratio(rows: np.ndarray) -> float:
    """The largest range by the smallest; those of features that do not vary are left out."""
    ranges = np.ptp(rows, axis=0)
    varying = ranges[ranges > 0]
    return float(varying.max() / varying.min()) if varying.size else 1.0
