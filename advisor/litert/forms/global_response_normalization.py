"""Global response normalization as `x · a + b`, with a per sample and channel."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

import keras_normpack
from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form


def _has_channels_last(call: LayerCall) -> bool:
    return call.mask is None and call.layer.axis in (-1, len(call.inputs.shape) - 1)


def _affine(layer: Any, inputs: Any, mask: Any) -> Any:
    """The shortcut is within the scale; the root of 0 needs no care where no gradient is asked for."""
    positions = tuple(range(1, len(inputs.shape) - 1))
    norms = ops.sqrt(ops.sum(inputs * inputs, axis=positions, keepdims=True))
    scale = norms / (ops.mean(norms, axis=-1, keepdims=True) + layer.epsilon)
    if layer.gamma is not None:
        scale = scale * layer.gamma
    outputs = inputs * (scale + 1)
    return outputs if layer.beta is None else outputs + layer.beta


FORMS: dict[type[keras.Layer], tuple[Form, ...]] = {
    keras_normpack.GlobalResponseNormalization: (Form("x · a + beta", _affine, _has_channels_last),),
}
