"""Layers behind which a map per channel does the same as before them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from keras import layers

from advisor.facts.kinds import Kind
from advisor.facts.layer_facts import LayerFacts


class Condition(StrEnum):
    """What the numbers of a map `s · x + t` have to be for it to get past a layer."""

    NO_SHIFT = "zeros are padded on the way, which a shift would have to reach"
    NO_NEGATIVE_SCALE = "a maximum is taken on the way, which a negative scale would make a minimum"


@dataclass(frozen=True, eq=False)
class Passage:
    """A map per channel on the other side of a layer.

    Attributes:
        axis: The axis of the channels there.
        channels: For each channel there, the channel of the map that belongs to it.
        conditions: What the map has to fulfil.
    """

    axis: int
    channels: np.ndarray
    conditions: frozenset[Condition] = frozenset()


@dataclass(frozen=True)
class _Ends:
    """The axis of the channels at the input and the output of a layer, and how many there are."""

    input_axis: int
    output_axis: int
    input_size: int | None
    output_size: int | None


# Dropout and the like that work at inference, too.
_ALWAYS_ACTIVE = frozenset({"CenterCrop", "RandomCrop", "AutoContrast", "Equalization", "MonteCarloDropout"})


def only_trains(layer: LayerFacts) -> bool:
    """Whether a layer does nothing at inference: dropout, noise, augmentation."""
    in_training = layer.kind in (Kind.DROPOUT, Kind.AUGMENTATION) and layer.cls.__name__ not in _ALWAYS_ACTIVE
    return in_training and len(layer.input_shapes) == 1


def passage_to_input(layer: LayerFacts, axis: int, channels: np.ndarray) -> Passage | None:
    """How a map of a layer's output is computed on its input instead.

    Args:
        layer: The layer to get past, of one input.
        axis: The axis of the channels in the output, counted from the front.
        channels: For each channel of the output, the channel of the map.

    Returns:
        The map before the layer, or None where the layer does not commute with maps per channel.
    """
    ends = _ends(layer, axis)
    if ends is None or axis != ends.output_axis:
        return None
    return _passage(layer, ends.input_axis, channels, ends.output_size, ends.input_size)


def passage_to_output(layer: LayerFacts, axis: int, channels: np.ndarray) -> Passage | None:
    """How a map of a layer's input is computed on its output instead; arguments and result as of `passage_to_input`."""
    ends = _ends(layer, axis)
    if ends is None or axis != ends.input_axis:
        return None
    return _passage(layer, ends.output_axis, channels, ends.input_size, ends.output_size)


def _passage(layer: LayerFacts, axis: int, channels: np.ndarray, here: int | None, there: int | None) -> Passage | None:
    if here != there:
        # A reshape: with the channels last, the numbers of one position stand together and the next one's follow.
        if here is None or there is None or there % here:
            return None
        channels = np.tile(channels, there // here)
    return Passage(axis, channels, _CONDITIONS.get(layer.cls, frozenset()))


def _ends(layer: LayerFacts, axis: int) -> _Ends | None:
    """None for layers that do not commute with maps per channel; other axes than that of a layout never do."""
    if len(layer.input_shapes) != 1 or not layer.output_shape:
        return None
    (shape,) = layer.input_shapes
    if _is_identity(layer):
        # Whatever axis it is.
        return _Ends(axis, axis, None, None)
    if layer.cls in _WITH_LAYOUT and layer.wrapper in (None, layers.TimeDistributed) and _weighs_evenly(layer):
        return _Ends(layer.channel_axis, layer.channel_axis, None, None)
    if layer.wrapper is not None or layer.masked:
        return None
    last = len(shape) - 1
    input_axis = 1 if layer.data_format == "channels_first" else last
    if layer.cls in _GLOBAL:
        return _Ends(input_axis, input_axis if layer.config["keepdims"] else 1, None, None)
    if layer.cls in (layers.Flatten, layers.Reshape):
        # `Flatten` puts the channels last before it flattens.
        return _Ends(input_axis, len(layer.output_shape) - 1, shape[input_axis], layer.output_shape[-1])
    return None


def _is_identity(layer: LayerFacts) -> bool:
    if layer.cls is layers.Activation:
        return layer.activation == "linear"
    return layer.cls in (layers.Identity, layers.ActivityRegularization) or only_trains(layer)


def _weighs_evenly(layer: LayerFacts) -> bool:
    """Whether what stands between two positions is their mean, so that weights sum to 1."""
    return layer.config.get("interpolation", "nearest") in ("nearest", "bilinear")


def _classes(names: str) -> frozenset[type]:
    # Older and newer Keras releases lack some of them.
    found = (f"{name}{rank}D" for name in names.split() for rank in (1, 2, 3))
    return frozenset(getattr(layers, name) for name in found if hasattr(layers, name))


_MAXIMA = _classes("MaxPooling GlobalMaxPooling AdaptiveMaxPooling")
_WITH_LAYOUT = _classes(
    "AveragePooling MaxPooling AdaptiveAveragePooling AdaptiveMaxPooling UpSampling Cropping ZeroPadding"
)
_GLOBAL = _classes("GlobalAveragePooling GlobalMaxPooling")
_CONDITIONS = {
    **dict.fromkeys(_classes("ZeroPadding"), frozenset({Condition.NO_SHIFT})),
    **dict.fromkeys(_MAXIMA, frozenset({Condition.NO_NEGATIVE_SCALE})),
}
