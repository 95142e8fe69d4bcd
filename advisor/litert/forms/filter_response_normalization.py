"""Filter response normalization as `x · a + b`, with a per sample and channel."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

import keras_normpack
from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form


def _averages_over_all_positions(call: LayerCall) -> bool:
    rank = len(call.inputs.shape)
    axes = call.layer.axis
    return call.mask is None and (axes is None or {axis % rank for axis in axes} == set(range(1, rank - 1)))


def _affine(layer: Any, inputs: Any, mask: Any) -> Any:
    epsilon = layer.epsilon if layer.eps_learned is None else layer.epsilon + ops.abs(layer.eps_learned)
    positions = tuple(range(1, len(inputs.shape) - 1))
    scale = ops.rsqrt(ops.mean(inputs * inputs, axis=positions, keepdims=True) + epsilon)
    if layer.gamma is not None:
        scale = scale * layer.gamma
    outputs = inputs * scale
    return outputs if layer.beta is None else outputs + layer.beta


FORMS: dict[type[keras.Layer], tuple[Form, ...]] = {
    keras_normpack.FilterResponseNormalization: (Form("x · a + beta", _affine, _averages_over_all_positions),),
}
