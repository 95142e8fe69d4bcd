"""How many columns of a table tell something about the target by themselves."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from advisor.facts import DataFacts, Measurement

# Of a hundred columns that tell nothing, less than one correlates by more than this many standard errors.
_STANDARD_ERRORS = 3.0
# With fewer rows chance correlations are so large that next to no column could stand out.
_FEWEST_ROWS = 30
# More values than this are numbers, not classes.
_MOST_CLASSES = 50


def informative_share(data: DataFacts, threshold: float) -> Measurement | None:
    """The share of the columns whose correlation with the target is more than chance.

    A column counts when |correlation| > 3 / √rows, with the labels or with any one class of them. What columns tell
    only together does not show.

    Args:
        data: The facts of tabular data, with its batches.
        threshold: What the rule compares the share with.

    Returns:
        The share; None with less than 30 rows, or where labels and rows do not go together.
    """
    if not data.batches or any(y is None for _, y in data.batches):
        return None
    rows = np.concatenate([_as_rows(x) for x, _ in data.batches]).astype("float64")
    labels = np.concatenate([_as_rows(y) for _, y in data.batches])
    if len(rows) < _FEWEST_ROWS or len(rows) != len(labels):
        return None
    targets = _columns_of_target(labels).astype("float64")
    correlation = np.abs(_standardized(rows).T @ _standardized(targets)) / len(rows)
    share = float(np.mean(np.max(correlation, axis=1) > _STANDARD_ERRORS / math.sqrt(len(rows))))
    return Measurement("share of columns that correlate with the target", share, "1", len(rows), 0, threshold)


def _as_rows(structure: Any) -> np.ndarray:
    """All arrays of a structure beside each other, one row per sample."""
    return np.concatenate([np.reshape(array, (len(array), -1)) for array in keras.tree.flatten(structure)], axis=1)


def _columns_of_target(labels: np.ndarray) -> np.ndarray:
    """The labels as numbers; classes that are numbered, one column for each."""
    classes = np.unique(labels)
    is_class = labels.shape[1] == 1 and len(classes) <= _MOST_CLASSES and np.all(classes == np.round(classes))
    return labels == classes if is_class else labels


def _standardized(columns: np.ndarray) -> np.ndarray:
    centred = columns - columns.mean(axis=0)
    deviation = centred.std(axis=0)
    return centred / np.where(deviation > 0, deviation, 1)
