"""Layers that multiply each channel by a number and add one to it, at inference, and by which numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

import keras_normpack
from advisor.facts.kinds import Kind, core_layer, works_by_itself
from advisor.facts.layer_facts import LayerFacts
from advisor.graph import ModelGraph


@dataclass(frozen=True, eq=False)
class AffineMap:
    """`x → scale · x + shift`, channel by channel.

    Attributes:
        scale: One float64 per channel.
        shift: One float64 per channel.
    """

    scale: np.ndarray
    shift: np.ndarray

    @property
    def is_finite(self) -> bool:
        """Whether it can be computed with."""
        return bool(np.all(np.isfinite(self.scale)) and np.all(np.isfinite(self.shift)))

    def of_channels(self, channels: np.ndarray) -> AffineMap:
        """The same map on other channels: the i-th of them is treated as channel `channels[i]` was."""
        return AffineMap(self.scale[channels], self.shift[channels])

    def after(self, first: AffineMap) -> AffineMap:
        """The map that applies another one first, then this one."""
        return AffineMap(self.scale * first.scale, self.scale * first.shift + self.shift)


def affine_axis(graph: ModelGraph, layer: LayerFacts) -> int:
    """The axis, counted from the front, along which the numbers of a layer with a map per channel lie."""
    if layer.cls is keras_normpack.LayerScale:
        return int(core_layer(graph.nodes[layer.path].operation).axis) % max(len(layer.output_shape), 1)
    return layer.channel_axis if layer.kind is Kind.NORM else max(len(layer.output_shape) - 1, 0)


def affine_map(graph: ModelGraph, layer: LayerFacts) -> AffineMap | None:
    """What a batch normalization, layer scale, `Rescaling` or `Normalization` does to each channel at inference.

    Args:
        graph: The model's graph.
        layer: Facts of the layer.

    Returns:
        The map, computed in float64; None where the layer is another one, has other numbers than one per channel, or
        they are not finite.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> model = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Rescaling(2.0, name="double")])
    >>> facts = gather_facts(read_graph(model))
    >>> affine_map(facts.graph, facts["double"]).scale
    array([2., 2.])
    """
    operation = graph.nodes[layer.path].operation
    channels = layer.output_shape[affine_axis(graph, layer)] if layer.output_shape else None
    if channels is None or not works_by_itself(operation):
        return None
    for is_such, read in _READERS:
        if is_such(layer):
            return _per_channel(*read(core_layer(operation)), channels)
    return None


def norm_affine_map(graph: ModelGraph, layer: LayerFacts) -> AffineMap | None:
    """The map by `gamma` and `beta` with which a normalization that is computed from its inputs ends.

    Args:
        graph: The model's graph.
        layer: Facts of a layer, group or instance normalization of Keras or keras_normpack.

    Returns:
        The map; None where the layer is another one, ends without a map, or with one along other axes than one.
    """
    operation = graph.nodes[layer.path].operation
    own = core_layer(operation)
    if layer.cls not in _NORMS or not works_by_itself(operation) or not (own.center or own.scale):
        return None
    if getattr(own, "rms_scaling", False):
        return None
    channels = layer.output_shape[layer.channel_axis]
    axes = own.axis if isinstance(own.axis, (list, tuple)) else [own.axis]
    if layer.cls in _LAYER_NORMS and [axis % len(layer.output_shape) for axis in axes] != [layer.channel_axis]:
        return None
    return None if channels is None else _per_channel(_or(own.gamma, 1.0), _or(own.beta, 0.0), channels)


def maps_channels(layer: LayerFacts) -> bool:
    """Whether `affine_map` knows the kind of layer."""
    return any(is_such(layer) for is_such, _ in _READERS)


def is_plain_batch_norm(layer: LayerFacts) -> bool:
    """Whether a layer computes what batch normalization does at inference: a subclass may compute something else."""
    module = next(cls.__module__ for cls in layer.cls.__mro__ if "call" in vars(cls) or cls is object)
    return layer.is_batch_norm and module.split(".")[0] in {"keras", "keras_normpack"}


def is_layer_scale(layer: LayerFacts) -> bool:
    """Whether a layer multiplies channels by its `gamma`: that of keras_normpack, or the one in Keras's ConvNeXt."""
    return layer.cls is keras_normpack.LayerScale or (layer.is_of_keras and layer.cls.__name__ == "LayerScale")


def is_rescaling(layer: LayerFacts) -> bool:
    """Whether a layer brings inputs to another scale, by numbers of its own."""
    return layer.cls in (layers.Rescaling, layers.Normalization)


def _of_batch_norm(norm: Any) -> tuple[Any, Any]:
    scale = _or(norm.gamma, 1.0) / np.sqrt(_values(norm.moving_variance) + norm.epsilon)
    return scale, _or(norm.beta, 0.0) - scale * _values(norm.moving_mean)


def _of_layer_scale(layer: Any) -> tuple[Any, Any]:
    return _values(layer.gamma), 0.0


def _of_rescaling(layer: Any) -> tuple[Any, Any]:
    scale, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    along_last = scale.size == 1 or keras.config.image_data_format() == "channels_last"
    return (scale, offset) if along_last else _UNKNOWN


def _of_normalization(layer: Any) -> tuple[Any, Any]:
    if layer.mean is None:
        return _UNKNOWN
    mean, deviation = _values(layer.mean), np.maximum(np.sqrt(_values(layer.variance)), keras.config.epsilon())
    return (deviation, mean) if layer.invert else (1.0 / deviation, -mean / deviation)


_UNKNOWN = (math.nan, math.nan)
_READERS = (
    (is_plain_batch_norm, _of_batch_norm),
    (is_layer_scale, _of_layer_scale),
    (lambda layer: layer.cls is layers.Rescaling, _of_rescaling),
    (lambda layer: layer.cls is layers.Normalization, _of_normalization),
)
_LAYER_NORMS = frozenset({layers.LayerNormalization, keras_normpack.LayerNormalization})
_NORMS = _LAYER_NORMS | {
    layers.GroupNormalization,
    keras_normpack.GroupNormalization,
    keras_normpack.InstanceNormalization,
}


def _or(variable: Any, default: float) -> Any:
    return default if variable is None else _values(variable)


def _per_channel(scale: Any, shift: Any, channels: int) -> AffineMap | None:
    """A map of one number per channel, or of one number for all; None where there are others, along other axes."""
    vectors = []
    for numbers in (np.asarray(scale, np.float64), np.asarray(shift, np.float64)):
        if numbers.size != 1 and numbers.shape[-1:] != (numbers.size,):
            return None
        if numbers.size not in (1, channels):
            return None
        vectors.append(np.broadcast_to(numbers.reshape(-1), (channels,)))
    found = AffineMap(*vectors)
    return found if found.is_finite else None


def _values(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(getattr(variable, "value", variable)), np.float64)
