"""Batch normalization that is not folded, and the normalization of inputs: constants per channel, in one pass."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

import keras_normpack
from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form
from advisor.litert.forms.per_channel import in_one_pass, is_over_images

MOST_DEVIATIONS = 32.0
"""Means this many deviations from 0 and more are taken off first: `x/σ - μ/σ` would lose digits."""


def _batch_normalization(layer: Any, inputs: Any, mask: Any) -> Any:
    scale = ops.rsqrt(layer.moving_variance + layer.epsilon)
    if layer.gamma is not None:
        scale = scale * layer.gamma
    offset = -layer.moving_mean * scale
    return in_one_pass(inputs, scale, offset if layer.beta is None else offset + layer.beta)


def _normalizes_channels_of_images(call: LayerCall) -> bool:
    layer, shape = call.layer, call.inputs.shape
    if layer.invert or len(shape) != 4 or tuple(layer.mean.shape) != (1, 1, 1, shape[-1]):
        return False
    mean, deviation = _mean_and_deviation(layer)
    return bool(np.all(np.abs(mean) < MOST_DEVIATIONS * deviation))


def _input_normalization(layer: Any, inputs: Any, mask: Any) -> Any:
    mean, deviation = _mean_and_deviation(layer)
    return in_one_pass(inputs, (1 / deviation).astype("float32"), (-mean / deviation).astype("float32"))


def _mean_and_deviation(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = (np.ravel(ops.convert_to_numpy(value)).astype("float64") for value in (layer.mean, layer.variance))
    return mean, np.maximum(np.sqrt(variance), keras.config.epsilon())


_OF_A_BATCH = (Form("constants per channel in one pass", _batch_normalization, is_over_images),)
_OF_INPUTS = (Form("constants per channel in one pass", _input_normalization, _normalizes_channels_of_images),)

FORMS: dict[type[keras.Layer], tuple[Form, ...]] = {
    layers.BatchNormalization: _OF_A_BATCH,
    keras_normpack.BatchNormalization: _OF_A_BATCH,
    layers.Normalization: _OF_INPUTS,
}
