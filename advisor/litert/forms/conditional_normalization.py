"""A normalization scaled and shifted by a condition as one `x · a + b`."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

import keras_normpack
from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form
from advisor.litert.forms.group_normalization import is_over_a_map, scale_and_offset

_NORMALIZED = (
    layers.GroupNormalization,
    keras_normpack.GroupNormalization,
    keras_normpack.InstanceNormalization,
)


def _is_of_one_condition_for_all_positions(call: LayerCall) -> bool:
    wrapper, layer = call.layer, call.layer.layer
    inputs, condition = call.inputs
    rank = len(inputs.shape)
    return (
        call.mask is None
        and type(layer) in _NORMALIZED
        and is_over_a_map(LayerCall(layer, inputs))
        and len(condition.shape) == 2
        and wrapper.axis % rank == layer.axis % rank
    )


def _affine(layer: Any, inputs: Any, mask: Any) -> Any:
    x, condition = inputs
    scale, offset = scale_and_offset(layer.layer, x)
    gamma, beta = ops.split(layer.projection(condition), 2, axis=-1)
    gamma = ops.reshape(gamma + 1, (-1, *scale.shape[1:]))
    return x * (scale * gamma) + (offset * gamma + ops.reshape(beta, (-1, *scale.shape[1:])))


FORMS: dict[type[keras.Layer], tuple[Form, ...]] = {
    keras_normpack.ConditionalNormalization: (Form("x · a + b", _affine, _is_of_one_condition_for_all_positions),),
}
