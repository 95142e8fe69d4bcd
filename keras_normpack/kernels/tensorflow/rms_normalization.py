"""RMS normalization along one axis, in two compiled passes."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_normpack.kernels.call import Call
from keras_normpack.kernels.tensorflow.compiled import affine_weights, differentiable, row_means, rows
from keras_normpack.kernels.tensorflow.layout import channels_last
from keras_normpack.kernels.tensorflow.suitability import is_large_and_static


def is_faster(call: Call) -> bool:
    """Tells whether the compiled passes beat the reference for such a call."""
    return is_large_and_static(call)


def compiled(inputs: Any, gamma: Any, axis: int, epsilon: float) -> Any:
    """See `reference.rms_normalization`."""
    x, restore = channels_last(inputs, axis)
    scale, _ = affine_weights(gamma, None, x.shape[-1])
    (outputs,) = _operation(epsilon)(x, scale)
    return restore(outputs)


@functools.cache
def _operation(epsilon: float) -> Callable[..., Any]:
    def forward(inputs: Any, gamma: Any) -> Any:
        x = rows(inputs)
        inverse = tf.math.rsqrt(row_means(x * x) + epsilon)
        outputs = x * inverse * gamma
        return (tf.cast(tf.reshape(outputs, tf.shape(inputs)), inputs.dtype),), (inverse,)

    def backward(cotangent: Any, inputs: Any, gamma: Any, inverse: Any) -> Any:
        dy = rows(cotangent)
        normalized = rows(inputs) * inverse
        products = dy * normalized
        dx = inverse * (dy * gamma - normalized * row_means(products * gamma))
        return tf.cast(tf.reshape(dx, tf.shape(inputs)), inputs.dtype), tf.reduce_sum(products, 0)

    return differentiable(forward, backward)
