"""Layer normalization of values whose mean is 0 already."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form
from advisor.litert.forms.per_channel import in_one_pass, is_over_images


@keras.saving.register_keras_serializable(package="keras_normpack")
class CenteredLayerNormalization(layers.LayerNormalization):
    """Layer normalization along one axis that takes the mean of its inputs to be 0, for inference.

    `x / √(mean(x²) + ε) · γ + β`. Where the linear layer before puts out values whose mean over the channels is 0, this
    is layer normalization without two passes over the map.
    """

    def call(self, inputs: Any) -> Any:
        """Normalizes the inputs; those in half precision in float32, as layer normalization does."""
        shape = [inputs.shape[axis] if axis == self.axis[0] % len(inputs.shape) else 1 for axis in range(inputs.ndim)]
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        outputs = _scaled(self, ops.cast(inputs, dtype))
        if self.gamma is not None:
            outputs = outputs * ops.cast(ops.reshape(self.gamma, shape), dtype)
        if self.beta is not None:
            outputs = outputs + ops.cast(ops.reshape(self.beta, shape), dtype)
        return ops.cast(outputs, self.compute_dtype)


def _scaled(layer: Any, x: Any) -> Any:
    # LiteRT computes the mean of a product of a tensor by itself in one pass.
    return x * ops.rsqrt(ops.mean(x * x, axis=layer.axis, keepdims=True) + layer.epsilon)


def _has_scale_over_images(call: LayerCall) -> bool:
    return is_over_images(call) and call.layer.gamma is not None


def _then_depthwise(layer: Any, inputs: Any, mask: Any) -> Any:
    return in_one_pass(_scaled(layer, inputs), layer.gamma, layer.beta)


FORMS: dict[type[keras.Layer], tuple[Form, ...]] = {
    CenteredLayerNormalization: (Form("gamma and beta in one pass", _then_depthwise, _has_scale_over_images),),
}
