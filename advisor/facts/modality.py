"""What data looks like, by the model that takes it, its shape and its values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from advisor.facts.data_checks import embedding_sizes
from advisor.facts.data_facts import ArrayFacts, Modality
from advisor.facts.kinds import core_layer
from advisor.graph import ModelGraph

SMALLEST_IMAGE = 8
FEWEST_FREQUENCIES = 16

SHORTEST_WAVEFORM = 2000
"""Steps: a quarter of a second at 8 kHz; few sensors are recorded for as long."""

MEAN_OF_WAVEFORM = 0.1
CROSSINGS_OF_WAVEFORM = 0.005
CORRELATION_OF_WAVEFORM = 0.3
"""A waveform swings around 0: its mean is small beside its loudness, it crosses 0 again and again, and neighbouring
steps go together (0.87 in speech at 8 kHz), as the columns of a wide table do not."""

SHARE_OF_PROFILE = 0.1
SLOPE_OF_PROFILE = 0.7
"""In logarithmic spectrograms of speech the mean over the recordings of each frequency makes up 56 to 69 % of the
variance and falls with the frequency (correlation -0.93); in CIFAR-10 the rows make up 1 %, in the MNIST family the
columns 16 to 22 % without a slope (`benchmarks.modalities`)."""

TAIL_OF_MAGNITUDES = 20
SLOPE_OF_MAGNITUDES = 0.6
"""Magnitudes have few large values: a kurtosis of 406 for speech, against 6 for MNIST."""

DARKEST_GREY = -6.0
"""Standardized images hardly reach below; logarithms of small magnitudes do: log 0.001 is -6.9."""

_FRONT_ENDS = ("STFTSpectrogram", "MelSpectrogram")


def modality_of(graph: ModelGraph, facts: ArrayFacts, samples: np.ndarray | None) -> Modality:
    """What the first input looks like.

    Args:
        graph: The model's graph.
        facts: Facts of the input.
        samples: The samples that were looked at, without NaN and infinite values; None where their shapes differ.

    Returns:
        The modality; `"unknown"` where it could be one thing or another.

    Example:
    >>> import keras, numpy as np
    >>> from advisor.facts.array_facts import array_facts
    >>> from advisor.facts.census import NonFinite
    >>> from advisor.graph import read_graph
    >>> graph = read_graph(keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]))
    >>> table = np.ones((3, 4))
    >>> modality_of(graph, array_facts([table], NonFinite()), table)
    'tabular'
    """
    if graph.inputs and embedding_sizes(graph, graph.inputs[0]):
        return "tokens"
    if _front_end_reads(graph):
        return "waveform"
    if np.isnan(facts.minimum):
        return "unknown"
    known = samples if samples is not None and len(samples) else None
    if len(facts.shape) == 3:
        return _picture(facts, known)
    if len(facts.shape) == 2:
        return _sequence(facts, known)
    if len(facts.shape) == 1:
        return "waveform" if known is not None and _swings(known) else "tabular"
    return "unknown"


def _front_end_reads(graph: ModelGraph) -> bool:
    if not graph.inputs:
        return False
    readers = [core_layer(graph.nodes[path].operation) for path in graph.consumers(graph.inputs[0].path)]
    return any(type(layer).__name__ in _FRONT_ENDS for layer in readers)


def _picture(facts: ArrayFacts, samples: np.ndarray | None) -> Modality:
    if facts.shape[-1] != 1 or samples is None or not _is_spectral(samples[..., 0]):
        return "image"
    return "spectrogram" if _cannot_be_grey(facts, samples) else "unknown"


def _sequence(facts: ArrayFacts, samples: np.ndarray | None) -> Modality:
    steps, features = facts.shape
    # Grey images are often given as (28, 28); series as long as wide and never negative are rare.
    if steps is not None and steps == features and steps >= SMALLEST_IMAGE and facts.minimum >= 0:
        return "image"
    if samples is None:
        return "series"
    if features == 1 and _swings(samples[..., 0]):
        return "waveform"
    wide = features is not None and features >= FEWEST_FREQUENCIES
    return "spectrogram" if wide and _is_spectral(samples) and _is_smooth(samples) else "series"


def _cannot_be_grey(facts: ArrayFacts, samples: np.ndarray) -> bool:
    """Whether values are decibels, logarithms or magnitudes rather than shades of grey, standardized ones included."""
    may_be_magnitudes = facts.shape[0] != facts.shape[1] and samples.dtype.kind == "f"
    return facts.minimum < DARKEST_GREY or (may_be_magnitudes and _has_long_tail(samples))


def _has_long_tail(samples: np.ndarray) -> bool:
    return kurtosis(samples) >= TAIL_OF_MAGNITUDES


def kurtosis(samples: np.ndarray) -> float:
    """Mean fourth power of the distance from the mean, to the square of the variance; 0 for equal values."""
    values = samples.astype("float64")
    centered = values - values.mean()
    variance = np.square(centered).mean()
    return float((centered**4).mean() / variance**2) if variance > 0 else 0.0


@dataclass(frozen=True)
class Profile:
    """The mean along one axis of a set of pictures: the share of the variance it makes up, and how straight it is."""

    share: float
    slope: float

    @classmethod
    def of(cls, samples: np.ndarray, axis: int) -> Profile:
        """Of samples `(count, rows, columns)`, along the rows (1) or the columns (2)."""
        means = samples.mean(axis=tuple(other for other in range(3) if other != axis), dtype="float64")
        variance, of_means = float(samples.var(dtype="float64")), float(means.var())
        if len(means) < 2 or not of_means > 0 or not variance > 0:
            return cls(0.0, 0.0)
        return cls(of_means / variance, abs(float(np.corrcoef(means, np.arange(len(means)))[0, 1])))


def _is_spectral(samples: np.ndarray) -> bool:
    profiles = [Profile.of(samples, axis) for axis in (1, 2)]
    if any(profile.share >= SHARE_OF_PROFILE and profile.slope >= SLOPE_OF_PROFILE for profile in profiles):
        return True
    falls = any(profile.slope >= SLOPE_OF_MAGNITUDES for profile in profiles)
    return falls and float(samples.min()) >= 0 and _has_long_tail(samples)


def _is_smooth(samples: np.ndarray) -> bool:
    """Whether neighbours along the last axis go together, as frequencies do and the channels of a series need not."""
    centered = samples.astype("float64") - samples.mean(axis=0)
    variance = np.square(centered).mean()
    return bool(variance > 0 and (centered[..., 1:] * centered[..., :-1]).mean() / variance >= 0.5)


def _swings(samples: np.ndarray) -> bool:
    if samples.shape[1] < SHORTEST_WAVEFORM or samples.dtype.kind not in "fi":
        return False
    values = samples.astype("float64")
    loudness = np.sqrt(np.square(values).mean(axis=1))
    heard = loudness > 0
    if not heard.any():
        return False
    values, loudness = values[heard], loudness[heard]
    centered = np.median(np.abs(values.mean(axis=1)) / loudness) <= MEAN_OF_WAVEFORM
    products = values[:, 1:] * values[:, :-1]
    crossings = (products < 0).sum(axis=1) / np.count_nonzero(values, axis=1)
    correlation = products.mean(axis=1) / np.square(loudness)
    return bool(
        centered and np.median(crossings) >= CROSSINGS_OF_WAVEFORM and np.median(correlation) >= CORRELATION_OF_WAVEFORM
    )
