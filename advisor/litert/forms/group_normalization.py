"""Group normalization over feature maps as `x · a + b`, with a and b per channel."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

import keras_normpack
from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form


def _is_over_a_map(call: LayerCall) -> bool:
    layer, shape = call.layer, call.inputs.shape
    return call.mask is None and len(shape) > 2 and layer.axis in (-1, len(shape) - 1)


def _affine(layer: Any, inputs: Any, mask: Any) -> Any:
    """Means per group from means per channel; the variance around the group's mean, so that nothing cancels."""
    channels = inputs.shape[-1]
    groups = layer.groups if layer.groups != -1 else channels
    space = tuple(range(1, len(inputs.shape) - 1))
    per_channel = (-1, *[1] * len(space), channels)
    per_group = (-1, groups, channels // groups)

    def group_mean(x: Any) -> Any:
        return ops.mean(ops.reshape(ops.mean(x, axis=space), per_group), axis=-1, keepdims=True)

    ones = ops.ones((groups, channels // groups))
    mean = group_mean(inputs) * ones
    deviation = inputs - ops.reshape(mean, per_channel)
    scale = ops.rsqrt(group_mean(ops.square(deviation)) + layer.epsilon)
    scale = scale * (ones if layer.gamma is None else ops.reshape(layer.gamma, per_group[1:]))
    shift = -mean * scale
    if layer.beta is not None:
        shift = shift + ops.reshape(layer.beta, per_group[1:])
    return inputs * ops.reshape(scale, per_channel) + ops.reshape(shift, per_channel)


_FORM_AFFINE = Form("x · a + b", _affine, _is_over_a_map)

FORMS: dict[type[keras.Layer], tuple[Form, ...]] = {
    layers.GroupNormalization: (_FORM_AFFINE,),
    keras_normpack.GroupNormalization: (_FORM_AFFINE,),
}
