"""What is counted over every sample that passes by, without keeping any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from advisor.facts.data_checks import fit_inputs, fit_targets
from advisor.facts.fingerprints import Fingerprints
from advisor.graph import ModelGraph

MOST_CLASSES = 100_000


@dataclass
class NonFinite:
    """How many values of one array are NaN or infinite.

    Attributes:
        missing: NaN.
        infinite: Infinite values.
        values: All values.
    """

    missing: int = 0
    infinite: int = 0
    values: int = 0

    def add(self, array: np.ndarray) -> None:
        """Count a further part of the array."""
        self.values += array.size
        # The sum is finite if all values are, save for overflow, and takes no memory.
        with np.errstate(all="ignore"):
            if array.dtype.kind not in "fc" or np.isfinite(np.sum(array, dtype="float64")):
                return
        self.missing += int(np.isnan(array).sum())
        self.infinite += int(np.isinf(array).sum())


@dataclass
class Census:
    """The count of a data set.

    Attributes:
        graph: Graph of the model the data is for.
        samples: Samples counted.
        inputs: One count of NaN and infinite values per input.
        targets: One per target.
    """

    graph: ModelGraph
    samples: int = 0
    inputs: list[NonFinite] = field(default_factory=list)
    targets: list[NonFinite] = field(default_factory=list)
    _hashes: list[Fingerprints] = field(default_factory=list)
    _classes: list[np.ndarray] | None = field(default_factory=list)

    def add(self, pair: tuple[Any, Any]) -> None:
        """Count the samples of one batch: inputs and targets as NumPy arrays in any structure."""
        inputs = fit_inputs(self.graph, *pair)
        targets = [target for target in fit_targets(self.graph, pair[1]) if target is not None]
        self.samples += len(inputs[0])
        _add_each(self.inputs, inputs)
        _add_each(self.targets, targets)
        self._hashes.append(Fingerprints.of(inputs))
        classes = class_indices(targets[0]) if targets else None
        if classes is None:
            self._classes = None
        elif self._classes is not None:
            self._classes.append(classes)

    @property
    def fingerprints(self) -> Fingerprints:
        """The fingerprints of all samples counted."""
        return Fingerprints.joined(self._hashes)

    def class_counts(self, classes: int | None) -> tuple[int, ...] | None:
        """Samples of each class; None where the samples have no class each.

        Args:
            classes: How many classes there are, or None where the targets name none.
        """
        if not self._classes or classes is None or classes > MOST_CLASSES:
            return None
        indices = np.concatenate(self._classes)
        # Others are ignored classes, which the loss leaves out.
        indices = indices[(indices >= 0) & (indices < classes)]
        return tuple(int(count) for count in np.bincount(indices, minlength=classes))


def class_indices(target: np.ndarray) -> np.ndarray | None:
    """The class of each sample, from class numbers or one-hot rows; None where a target is neither."""
    if target.dtype.kind not in "biuf":
        return None
    if target.size == len(target):
        numbers = target.reshape(-1)
        numbers = numbers[np.isfinite(numbers)]
        return numbers.astype("int64") if np.all(numbers == np.round(numbers)) else None
    if target.ndim == 2 and np.isin(target, (0, 1)).all() and np.all(target.sum(axis=1) == 1):
        return target.argmax(axis=1)
    return None


def _add_each(counts: list[NonFinite], arrays: Sequence[np.ndarray]) -> None:
    if not counts:
        counts.extend(NonFinite() for _ in arrays)
    for count, array in zip(counts, arrays, strict=False):
        count.add(array)
