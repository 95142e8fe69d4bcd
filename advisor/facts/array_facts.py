"""The figures of one input or target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from advisor.facts.census import NonFinite
from advisor.facts.data_facts import ArrayFacts, Padding

MOST_FEATURES = 4096
"""Of more features than this, none is told of by itself."""


def array_facts(arrays: Sequence[np.ndarray], count: NonFinite) -> ArrayFacts:
    """Facts of one input or target.

    Args:
        arrays: The batches that were looked at.
        count: NaN and infinite values, in them and in what was counted beyond.

    Returns:
        The facts; NaN for the figures of what are no numbers.

    Example:
    >>> facts = array_facts([np.array([[1.0, 10.0], [3.0, 30.0]])], NonFinite(values=4))
    >>> facts.mean, facts.feature_means, facts.feature_deviations
    (11.0, (2.0, 20.0), (1.0, 10.0))
    """
    shape, dtype = common_shape(arrays), str(arrays[0].dtype)
    values = _finite(np.concatenate([array.ravel() for array in arrays])) if _are_numbers(arrays) else np.empty(0)
    nan = float("nan")
    counted = ArrayFacts(
        shape, dtype, nan, nan, nan, nan, missing=count.missing, infinite=count.infinite, values=count.values
    )
    if not values.size:
        return counted
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(values.mean(dtype="float64")), float(values.std(dtype="float64"))
    means, deviations = _of_each_feature(arrays, shape)
    return replace(
        counted,
        minimum=float(values.min()),
        maximum=float(values.max()),
        mean=mean,
        deviation=deviation,
        feature_means=means,
        feature_deviations=deviations,
    )


def common_shape(arrays: Sequence[np.ndarray]) -> tuple[int | None, ...]:
    """The shape of one sample, None where samples differ."""
    shapes = {array.shape[1:] for array in arrays}
    if len({len(shape) for shape in shapes}) > 1:
        return ()
    return tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*shapes, strict=True))


def padding_of(arrays: Sequence[np.ndarray]) -> Padding | None:
    """Zeros at one end of sequences.

    Args:
        arrays: Batches of shape `(batch, time)` or `(batch, time, …)`.

    Returns:
        The padding; None where there is none.

    Example:
    >>> padding_of([np.array([[4, 2, 0, 0], [1, 0, 3, 0]])])
    Padding(side='end', share=0.375, shortest=2, median=2.5, longest=3)
    """
    filled = [np.any(array.reshape(*array.shape[:2], -1), axis=2) for array in arrays]
    steps = sum(mask.size for mask in filled)
    if not steps:
        return None
    at_start = np.concatenate([_leading_gaps(mask) for mask in filled])
    at_end = np.concatenate([_leading_gaps(mask[:, ::-1]) for mask in filled])
    side, gaps = ("end", at_end) if at_end.sum() >= at_start.sum() else ("start", at_start)
    if not gaps.sum():
        return None
    lengths = np.concatenate([np.full(len(mask), mask.shape[1]) for mask in filled]) - gaps
    share = float(gaps.sum() / steps)
    return Padding(side, share, int(lengths.min()), float(np.median(lengths)), int(lengths.max()))  # type: ignore[arg-type]


def _leading_gaps(filled: np.ndarray) -> np.ndarray:
    """How many steps of each row come before the first that is filled."""
    return np.where(filled.any(axis=1), filled.argmax(axis=1), filled.shape[1])


def _of_each_feature(
    arrays: Sequence[np.ndarray], shape: tuple[int | None, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not shape or shape[-1] is None or shape[-1] > MOST_FEATURES:
        return (), ()
    rows = np.concatenate([array.reshape(-1, shape[-1]) for array in arrays]).astype("float64")
    rows[~np.isfinite(rows)] = np.nan
    known = np.isfinite(rows).sum(axis=0)
    with np.errstate(all="ignore"):
        means = np.where(known, np.nansum(rows, axis=0) / np.maximum(known, 1), 0.0)
        squares = np.nansum(np.square(rows - means), axis=0) / np.maximum(known, 1)
    return tuple(means.tolist()), tuple(np.sqrt(squares).tolist())


def _are_numbers(arrays: Sequence[np.ndarray]) -> bool:
    return all(array.dtype.kind in "biuf" for array in arrays)


def _finite(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    known = np.isfinite(values)
    return values if known.all() else values[known]
