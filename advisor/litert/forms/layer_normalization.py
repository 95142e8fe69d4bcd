"""Layer normalization by the deviation from the mean, which is computed once."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

import keras_normpack
from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form
from advisor.litert.forms.per_channel import in_one_pass, is_over_images


def _axes(call: LayerCall) -> list[int]:
    return [axis % len(call.inputs.shape) for axis in call.layer.axis]


def _fits(call: LayerCall) -> bool:
    axes = _axes(call)
    # Along axes that are not in order Keras lines its weights up in an order of its own.
    return call.mask is None and not call.layer.rms_scaling and axes == sorted(axes)


def _has_scale_over_images(call: LayerCall) -> bool:
    return _fits(call) and is_over_images(call) and call.layer.gamma is not None


def _normalized(layer: Any, x: Any) -> Any:
    axes = tuple(layer.axis)
    deviation = x - ops.mean(x, axis=axes, keepdims=True)
    # LiteRT computes the mean of a product of a tensor by itself in one pass, that of a squared difference in two.
    variance = ops.mean(deviation * deviation, axis=axes, keepdims=True)
    return deviation * ops.rsqrt(variance + layer.epsilon)


def _deviation(layer: Any, inputs: Any, mask: Any) -> Any:
    axes = [axis % len(inputs.shape) for axis in layer.axis]
    shape = tuple(size if axis in axes else 1 for axis, size in enumerate(inputs.shape))
    outputs = _normalized(layer, inputs)
    if layer.gamma is not None:
        outputs = outputs * ops.reshape(layer.gamma, shape)
    return outputs if layer.beta is None else outputs + ops.reshape(layer.beta, shape)


def _deviation_then_depthwise(layer: Any, inputs: Any, mask: Any) -> Any:
    return in_one_pass(_normalized(layer, inputs), layer.gamma, layer.beta)


_FORMS = (
    Form("deviation · 1/σ, gamma and beta in one pass", _deviation_then_depthwise, _has_scale_over_images),
    Form("deviation · 1/σ", _deviation, _fits),
)

FORMS: dict[type[keras.Layer], tuple[Form, ...]] = {
    layers.LayerNormalization: _FORMS,
    keras_normpack.LayerNormalization: _FORMS,
}
