"""Reversible instance normalization as `x · a + b`, with a and b per sample and feature."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

import keras_normpack
from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form


def _has_no_mask(call: LayerCall) -> bool:
    return call.mask is None


def _affine(layer: Any, inputs: Any, mask: Any) -> Any:
    mean = ops.mean(inputs, axis=1, keepdims=True)
    level = inputs[:, -1:] if layer.subtract_last else mean
    deviation = ops.sqrt(ops.mean(ops.square(inputs - mean), axis=1, keepdims=True) + layer.epsilon)
    scale = 1 / deviation if layer.gamma is None else layer.gamma / deviation
    offset = level * scale
    normalized = inputs * scale + (-offset if layer.beta is None else layer.beta - offset)
    return normalized, ops.concatenate([level, deviation], axis=1)


FORMS: dict[type[keras.Layer], tuple[Form, ...]] = {
    keras_normpack.ReversibleInstanceNormalization: (Form("x · a + b", _affine, _has_no_mask),),
}
