"""Layer normalization along one axis, in two compiled passes."""

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


def compiled(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> Any:
    """See `reference.layer_normalization`."""
    x, restore = channels_last(inputs, axis)
    (outputs,) = _operation(epsilon)(x, *affine_weights(gamma, beta, x.shape[-1]))
    return restore(outputs)


@functools.cache
def _operation(epsilon: float) -> Callable[..., Any]:
    def forward(inputs: Any, gamma: Any, beta: Any) -> Any:
        x = rows(inputs)
        mean = row_means(x)
        centered = x - mean
        inverse = tf.math.rsqrt(row_means(centered * centered) + epsilon)
        outputs = centered * inverse * gamma + beta
        return (tf.cast(tf.reshape(outputs, tf.shape(inputs)), inputs.dtype),), (mean, inverse)

    def backward(cotangent: Any, inputs: Any, gamma: Any, beta: Any, mean: Any, inverse: Any) -> Any:
        dy = rows(cotangent)
        normalized = (rows(inputs) - mean) * inverse
        products = dy * normalized
        dx = inverse * (dy * gamma - row_means(dy * gamma) - normalized * row_means(products * gamma))
        dx = tf.cast(tf.reshape(dx, tf.shape(inputs)), inputs.dtype)
        return dx, tf.reduce_sum(products, 0), tf.reduce_sum(dy, 0)

    return differentiable(forward, backward)
