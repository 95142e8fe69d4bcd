"""Which inputs are on a scale that a network trains badly on, and the layer that mends it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np

from advisor.facts import LINEAR_KINDS, ArrayFacts, Facts, Kind, LayerFacts
from advisor.graph import LayerSpec

LARGEST_MAGNITUDE = 10.0
SMALLEST_MAGNITUDE = 0.03
"""Root mean square of what a layer reads, for one feature or the whole; beyond, training suffers: docs/adr/0013."""

LARGEST_OFFSET = 5.0
"""Distance of the values from 0, in deviations; beyond, training suffers more than from large scales: docs/adr/0013."""

BRIGHTEST_PIXEL = 255
DARKEST_WHITE = 32
"""An image whose brightest pixel lies between these two has pixels from 0 to 255."""

_READERS = LINEAR_KINDS | {Kind.RECURRENT}
_PASSED = frozenset({Kind.RESHAPE, Kind.AUGMENTATION})


@dataclass(frozen=True)
class OffScale:
    """How an input is off.

    Attributes:
        figure: What was measured.
        value: The figure.
        limit: The bound it is beyond.
        feature: The feature it belongs to; None for the whole input.
    """

    figure: str
    value: float
    limit: float
    feature: int | None = None


def off_scale(facts: Facts, position: int) -> OffScale | None:
    """How an input is off, where layers with weights read it as it is.

    Args:
        facts: What is known.
        position: Position among the model's flat inputs.

    Returns:
        The figure that is out of bounds; None where the input is well, or something else reads it first: a layer that
        scales, looks up or normalizes, or an operation whose effect is not known.
    """
    assert facts.data is not None
    seen, path = facts.data.inputs[position], facts.graph.inputs[position].path
    if math.isnan(seen.mean) or not _is_read_as_it_is(facts, path):
        return None
    if has_features(facts, position):
        means, deviations = np.array(seen.feature_means), np.array(seen.feature_deviations)
    else:
        means, deviations = np.array([seen.mean]), np.array([seen.deviation])
    magnitudes = np.hypot(means, deviations)
    largest = float(magnitudes.max())
    if largest > LARGEST_MAGNITUDE:
        feature = int(magnitudes.argmax()) if len(magnitudes) > 1 else None
        return OffScale("largest root mean square", largest, LARGEST_MAGNITUDE, feature)
    # All zero tells nothing of a scale.
    if 0 < largest < SMALLEST_MAGNITUDE:
        return OffScale("largest root mean square", largest, SMALLEST_MAGNITUDE)
    offset, spread = float(np.linalg.norm(means)), float(np.linalg.norm(deviations))
    if offset > LARGEST_OFFSET * spread > 0:
        return OffScale("distance from 0 in deviations", offset / spread, LARGEST_OFFSET)
    return None


def scaling_layer(facts: Facts, position: int) -> LayerSpec | None:
    """The layer that brings an input to unit scale by the figures measured.

    Args:
        facts: What is known.
        position: Position among the model's flat inputs.

    Returns:
        `Rescaling` for pixels, `Normalization` for anything else; None where zeros must stay zeros, because they are
        padding that a layer leaves out, and where the input is sparse.
    """
    assert facts.data is not None
    seen, node = facts.data.inputs[position], facts.graph.inputs[position]
    if getattr(node.operation, "sparse", False) or seen.padding is not None or is_masked(facts, node.path):
        return None
    if _are_pixels(seen):
        return LayerSpec(keras.layers.Rescaling, {"scale": 1 / BRIGHTEST_PIXEL, "offset": 0.0})
    if not has_features(facts, position):
        statistics = {"mean": seen.mean, "variance": _variance(seen.deviation, seen.mean)}
        return LayerSpec(keras.layers.Normalization, {"axis": None, **statistics})
    return LayerSpec(
        keras.layers.Normalization,
        {
            "mean": list(seen.feature_means),
            "variance": [
                _variance(deviation, mean)
                for mean, deviation in zip(seen.feature_means, seen.feature_deviations, strict=True)
            ],
        },
    )


def has_features(facts: Facts, position: int) -> bool:
    """Whether the last axis of an input holds features, each with a scale of its own, rather than pixels or steps."""
    assert facts.data is not None
    seen = facts.data.inputs[position]
    one_scale = position == 0 and facts.data.modality in {"image", "spectrogram", "waveform"}
    return len(seen.shape) in (1, 2) and bool(seen.feature_means) and not one_scale


def is_masked(facts: Facts, path: str) -> bool:
    """Whether a `Masking` layer reads an input, for which padding must stay as it is."""
    return any(issubclass(layer.cls, keras.layers.Masking) for layer in facts.consumers(path))


def is_normalized_next(facts: Facts, position: int) -> bool:
    """Whether batch normalization follows each layer that reads an input, which undoes a scale common to all of it."""
    readers = list(_readers(facts, facts.graph.inputs[position].path))
    followers = [facts.sole_consumer(reader.path) for reader in readers if reader.is_linear]
    return len(followers) == len(readers) and all(
        follower is not None and follower.is_batch_norm for follower in followers
    )


def _variance(deviation: float, mean: float) -> float:
    # A constant feature would be divided by 0, and one that is constant up to rounding blown up to noise.
    return 1.0 if deviation <= 1e-6 * abs(mean) or deviation == 0 else deviation**2


def _are_pixels(seen: ArrayFacts) -> bool:
    channels_known = len(seen.shape) == 3 or (len(seen.shape) == 2 and seen.shape[0] == seen.shape[1])
    return channels_known and seen.minimum >= 0 and DARKEST_WHITE < seen.maximum <= BRIGHTEST_PIXEL


def _readers(facts: Facts, path: str) -> Iterator[LayerFacts]:
    """The leaves that read a node, looking past those that hand its values on; each once."""
    seen: set[str] = set()
    frontier = [path]
    while frontier:
        for layer in facts.consumers(frontier.pop()):
            if layer.path in seen:
                continue
            seen.add(layer.path)
            if layer.kind in _PASSED or layer.cls is keras.layers.Concatenate:
                frontier.append(layer.path)
            else:
                yield layer


def _is_read_as_it_is(facts: Facts, path: str) -> bool:
    readers = list(_readers(facts, path))
    return bool(readers) and all(layer.kind in _READERS for layer in readers)
