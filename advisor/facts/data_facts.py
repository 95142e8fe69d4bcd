"""What the rules know of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Modality = Literal["image", "series", "tokens", "tabular", "unknown"]


@dataclass(frozen=True, eq=False)
class ArrayFacts:
    """One input or target of the data, judged by the samples that were looked at.

    Attributes:
        shape: Shape of one sample, without the batch axis; None where samples differ.
        dtype: NumPy name of the element type.
        minimum: Smallest value seen.
        maximum: Largest value seen.
        mean: Mean of the values seen.
        deviation: Standard deviation of the values seen.
    """

    shape: tuple[int | None, ...]
    dtype: str
    minimum: float
    maximum: float
    mean: float
    deviation: float


@dataclass(frozen=True, eq=False)
class DataFacts:
    """The training data, as far as it could be seen without consuming or fully reading it.

    Attributes:
        samples: How many samples there are, or None where the data set does not tell.
        batch_size: Batch size of the data set, or None for plain arrays.
        inputs: One entry per model input, in flat order.
        target: Facts of the labels, or None where there are none.
        classes: Number of classes for integer or one-hot labels, or None.
        modality: What the first input looks like.
        looked_at: How many samples the figures rest on.
        batches: The batches that were looked at, as NumPy `(x, y)` pairs, for the probes; `x` in the model's structure.
    """

    samples: int | None
    batch_size: int | None
    inputs: tuple[ArrayFacts, ...]
    target: ArrayFacts | None
    classes: int | None
    modality: Modality
    looked_at: int
    batches: tuple[tuple[Any, Any], ...]
