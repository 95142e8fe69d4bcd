"""Which samples are equal: in one data set, or in two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HASHED_BYTES = 2**29
"""As much as is hashed of one data set, in a second or less."""


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """A hash of the inputs of each sample; equal within one process for equal samples, whatever their float type.

    Attributes:
        hashes: One 64-bit number per sample.
    """

    hashes: np.ndarray

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def repeated(self) -> int:
        """How many samples are a repetition of another one."""
        return len(self.hashes) - len(np.unique(self.hashes))

    def shared_with(self, other: Fingerprints) -> int:
        """How many of these samples are also in another data set."""
        return int(np.isin(self.hashes, other.hashes).sum())

    @classmethod
    def of(cls, inputs: Sequence[np.ndarray]) -> Fingerprints:
        """Fingerprints of samples.

        Args:
            inputs: One array per input, samples along the first axis. Of more than `HASHED_BYTES`, evenly spread rows
                are taken.

        Returns:
            Their fingerprints.

        Example:
        >>> one = Fingerprints.of([np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])])
        >>> other = Fingerprints.of([np.array([[3.0, 4.0], [5.0, 6.0]], "float32")])
        >>> one.repeated, other.shared_with(one)
        (1, 1)
        """
        step = max(1, math.ceil(sum(array.nbytes for array in inputs) / HASHED_BYTES))
        with np.errstate(over="ignore"):
            columns = [[_comparable(row) for row in array[::step]] for array in inputs]
        rows = columns[0] if len(columns) == 1 else zip(*columns, strict=True)
        return cls(np.fromiter(map(hash, rows), "int64"))

    @classmethod
    def joined(cls, parts: Sequence[Fingerprints]) -> Fingerprints:
        """Fingerprints of several batches of one data set."""
        return cls(np.concatenate([part.hashes for part in parts]) if parts else np.empty(0, "int64"))


def _comparable(row: np.ndarray) -> bytes:
    return row.astype("float32", copy=False).tobytes() if row.dtype.kind == "f" else row.tobytes()
