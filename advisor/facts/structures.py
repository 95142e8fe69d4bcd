"""Arrays in the structure that a model takes, samples along the first axis; None stands for what is not given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

Shape = tuple[int, ...]


def leaves(structure: Any) -> list[Any]:
    """What is in a structure, flat, without what is not given."""
    return [leaf for leaf in keras.tree.flatten(structure) if leaf is not None]


def mapped(change: Callable[[Any], Any], structure: Any) -> Any:
    """The structure with each of its leaves changed; what is not given stays so."""
    return keras.tree.map_structure(lambda leaf: None if leaf is None else change(leaf), structure)


def sample_count(structure: Any) -> int:
    """How many samples a structure of arrays holds."""
    return len(leaves(structure)[0])


def rows(structure: Any, which: slice | np.ndarray) -> Any:
    """Some of the samples: a slice, their positions, or true for those wanted."""
    return mapped(lambda array: array[which], structure)


def are_finite(structure: Any) -> np.ndarray:
    """For each sample, whether none of its values is NaN or infinite.

    Args:
        structure: NumPy arrays.

    Returns:
        One truth value per sample.

    Example:
    >>> are_finite({"first": np.array([[1.0], [np.nan]]), "second": np.array([1, 2]), "third": None})
    array([ True, False])
    """
    known = np.ones(sample_count(structure), dtype=bool)
    for array in leaves(structure):
        if array.dtype.kind == "f":
            known &= np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return known


def finite(structure: Any) -> Any:
    """The samples that hold neither NaN nor infinite values; the structure itself where all do."""
    known = are_finite(structure)
    return structure if known.all() else rows(structure, known)


def sample_shapes(structures: Sequence[Any]) -> set[tuple[Shape, ...]]:
    """The shapes of one sample that occur in structures of arrays: one entry where all have the same."""
    return {tuple(array.shape[1:] for array in leaves(structure)) for structure in structures}


def joined(structures: Sequence[Any]) -> Any:
    """The samples of structures of one sample shape, one after the other.

    Args:
        structures: At least one, all alike.

    Returns:
        One structure.

    Example:
    >>> joined([(np.zeros(2), None), (np.ones(1), None)])
    (array([0., 0., 1.]), None)
    """
    return keras.tree.map_structure(lambda *arrays: None if arrays[0] is None else np.concatenate(arrays), *structures)
