"""What the rules know of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from advisor.facts.fingerprints import Fingerprints

Modality = Literal["image", "spectrogram", "waveform", "series", "tokens", "tabular", "unknown"]


@dataclass(frozen=True)
class Padding:
    """Zeros that fill sequences up to a common length.

    Attributes:
        side: The end at which they stand.
        share: Share of all steps that they make up.
        shortest: Steps of the shortest sequence, without them.
        median: Steps of the median sequence.
        longest: Steps of the longest sequence.
    """

    side: Literal["start", "end"]
    share: float
    shortest: int
    median: float
    longest: int


@dataclass(frozen=True, eq=False)
class ArrayFacts:
    """One input or target of the data, judged by the samples that were looked at.

    Attributes:
        shape: Shape of one sample, without the batch axis; None where samples differ.
        dtype: NumPy name of the element type.
        minimum: Smallest finite value seen.
        maximum: Largest finite value seen.
        mean: Mean of the finite values seen.
        deviation: Standard deviation of the finite values seen.
        feature_means: The mean of each feature, those along the last axis; empty where there are none or too many.
        feature_deviations: The standard deviation of each feature.
        padding: Zeros at an end of the sequences; None for anything but sequences, or where there are none.
        missing: How many values are NaN, in `counted` samples.
        infinite: How many values are infinite.
        values: How many values those were counted among.
    """

    shape: tuple[int | None, ...]
    dtype: str
    minimum: float
    maximum: float
    mean: float
    deviation: float
    feature_means: Sequence[float] = ()
    feature_deviations: Sequence[float] = ()
    padding: Padding | None = None
    missing: int = 0
    infinite: int = 0
    values: int = 0


_NONE = Fingerprints(np.empty(0, "int64"))


@dataclass(frozen=True, eq=False)
class DataFacts:
    """Training or validation data, as far as it could be seen without consuming or fully reading it.

    A few hundred samples are looked at. More are passed by to be counted: all rows of arrays in memory, and of a
    stream as many as come in two seconds, at most `READ_ON_SAMPLES`.

    Attributes:
        samples: How many samples there are, or None where the data set does not tell.
        batch_size: Batch size of the data set, or None for plain arrays.
        inputs: One entry per model input, in flat order.
        target: Facts of the labels, or None where there are none.
        classes: Number of classes for integer or one-hot labels, or None.
        modality: What the first input looks like; `"unknown"` where it could be one thing or another.
        looked_at: How many samples the figures rest on.
        batches: The batches that were looked at, as NumPy `(x, y)` pairs, for the probes; `x` in the model's structure.
            Samples with NaN or infinite values are left out.
        document_like: Whether images are ink on paper (digits, letters, line drawings) by their pixels; None for
            anything but images.
        class_counts: Samples of each class among those counted, or None where samples have no class each.
        counted: How many samples were counted.
        complete: Whether these are all there are.
        fingerprints: One hash of the inputs of each counted sample.
        prepares_itself: Whether batches are made by Python code of the user's (`PyDataset`, `DataLoader`), which is
            where they can be changed.
    """

    samples: int | None
    batch_size: int | None
    inputs: tuple[ArrayFacts, ...]
    target: ArrayFacts | None
    classes: int | None
    modality: Modality
    looked_at: int
    batches: tuple[tuple[Any, Any], ...]
    document_like: bool | None = None
    class_counts: tuple[int, ...] | None = None
    counted: int = 0
    complete: bool = False
    fingerprints: Fingerprints = field(default=_NONE)
    prepares_itself: bool = False

    @property
    def samples_per_class(self) -> float | None:
        """Average number of samples of a class; None where the number of either is not known."""
        return self.samples / self.classes if self.samples is not None and self.classes else None
