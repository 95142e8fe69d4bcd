"""Group and instance normalization as `x · a + b`, with a and b per sample and channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

import keras_normpack
from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form

MOST_CHANNELS_ALONG_ROWS = 64


def is_over_a_map(call: LayerCall) -> bool:
    """Whether a layer is called on inputs with positions, such as `(batch, time, channels)`, without a mask."""
    return call.mask is None and len(call.inputs.shape) > 2


def _is_over_rows_of_few_channels(call: LayerCall) -> bool:
    shape = call.inputs.shape
    is_last = call.layer.axis in (-1, len(shape) - 1)
    return is_over_a_map(call) and is_last and len(shape) > 3 and shape[-1] <= MOST_CHANNELS_ALONG_ROWS


def _as_they_are(values: Any) -> Any:
    return values


def scale_and_offset(layer: Any, x: Any, spread: Callable[[Any], Any] = _as_they_are) -> tuple[Any, Any]:
    """What a group or instance normalization multiplies its inputs by, and adds to them.

    Only means per channel are taken over the map; to reshape it into groups would be to copy it in LiteRT. The variance
    of a group is the mean, over its channels, of their variance plus their mean's squared distance from the group's:
    nothing cancels where inputs are far from 0.

    Args:
        layer: The layer.
        x: Its inputs, of rank 3 or more.
        spread: Gives values per sample and channel, such as `(batch, 1, 1, channels)`, the shape in which they meet the
            map.

    Returns:
        Scale and offset, spread.
    """
    axis = layer.axis % len(x.shape)
    channels = x.shape[axis]
    groups = _groups(layer, channels)
    positions = tuple(other for other in range(1, len(x.shape)) if other != axis)
    of_channels = tuple(channels if other == axis else 1 for other in range(1, len(x.shape)))
    mean = ops.mean(x, axis=positions, keepdims=True)
    variance = ops.mean(ops.square(x - spread(mean)), axis=positions, keepdims=True)
    if groups == channels:
        scale, offset = _from_moments(layer, mean, variance, of_channels)
        return spread(scale), spread(offset)
    in_groups = (groups, channels // groups)
    means = ops.reshape(mean, (-1, *in_groups))
    mean = ops.mean(means, axis=2, keepdims=True)
    variances = ops.reshape(variance, (-1, *in_groups)) + ops.square(means - mean)
    variance = ops.mean(variances, axis=2, keepdims=True)
    scale, offset = _from_moments(layer, mean, variance, in_groups)
    return spread(ops.reshape(scale, (-1, *of_channels))), spread(ops.reshape(offset, (-1, *of_channels)))


def _groups(layer: Any, channels: int) -> int:
    if isinstance(layer, keras_normpack.InstanceNormalization) or layer.groups == -1:
        return channels
    return layer.groups


def _from_moments(layer: Any, mean: Any, variance: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Scale and offset in a shape that holds one value for each channel."""
    # Ones, too, spread the value of a group over its channels.
    gamma = ops.ones(shape[-1:]) if layer.gamma is None else ops.reshape(layer.gamma, shape)
    scale = ops.rsqrt(variance + layer.epsilon) * gamma
    return scale, -mean * scale if layer.beta is None else ops.reshape(layer.beta, shape) - mean * scale


def _affine(layer: Any, inputs: Any, mask: Any) -> Any:
    scale, offset = scale_and_offset(layer, inputs)
    return inputs * scale + offset


def _affine_along_rows(layer: Any, inputs: Any, mask: Any) -> Any:
    """The same with a and b for each element of a row: LiteRT then runs over rows, not over the channels of a pixel."""
    row = ops.ones((inputs.shape[-2], 1))
    scale, offset = scale_and_offset(layer, inputs, lambda values: values * row)
    return inputs * scale + offset


_FORMS = (
    Form("x · a + b", _affine, is_over_a_map),
    Form("x · a + b along rows", _affine_along_rows, _is_over_rows_of_few_channels),
)

FORMS: dict[type[keras.Layer], tuple[Form, ...]] = {
    layers.GroupNormalization: _FORMS,
    keras_normpack.GroupNormalization: _FORMS,
    keras_normpack.InstanceNormalization: _FORMS,
}
