"""Activations with constants per channel, gamma and beta or a slope, in one pass."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

import keras_normpack
from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form
from advisor.litert.forms.per_channel import in_one_pass, is_over_images


def _has_scale(call: LayerCall) -> bool:
    return is_over_images(call) and call.layer.gamma is not None


def _dynamic_tanh(layer: Any, inputs: Any, mask: Any) -> Any:
    return in_one_pass(ops.tanh(layer.alpha * inputs), layer.gamma, layer.beta)


def _has_slope(call: LayerCall) -> bool:
    return is_over_images(call) and call.layer.affine


def _thresholded(layer: Any, inputs: Any, mask: Any) -> Any:
    return ops.maximum(inputs, in_one_pass(inputs, layer.alpha, layer.tau))


FORMS: dict[type[keras.Layer], tuple[Form, ...]] = {
    keras_normpack.DynamicTanh: (Form("gamma and beta in one pass", _dynamic_tanh, _has_scale),),
    keras_normpack.TLU: (Form("alpha and tau in one pass", _thresholded, _has_slope),),
}
