"""Batch normalization: TensorFlow's native fused operation, and passes of our own where XLA takes it apart."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_normpack.kernels.call import Call
from keras_normpack.kernels.tensorflow.compiled import affine_weights, differentiable, rows
from keras_normpack.kernels.tensorflow.device import being_compiled, only_cpu_visible
from keras_normpack.kernels.tensorflow.layout import channels_last
from keras_normpack.kernels.tensorflow.suitability import is_large_and_static

# Measured on two CPU cores, forward and backward, against Keras 3.15.1: below these sizes the native operation's fixed
# cost of about 0.25 ms, and its poor use of vectors on few channels, make it slower (0.5 to 0.9×); above, for every
# rank and channel axis, it is faster (1.1 to 6×).
_FEWEST_ELEMENTS = 2**17
_FEWEST_CHANNELS = 4


def native_is_faster(call: Call) -> bool:
    """Tells whether the native operation beats the reference for such a call; XLA would take it apart."""
    return (
        only_cpu_visible()
        and call.dtype in ("float32", "bfloat16", "float16")
        and call.channels >= _FEWEST_CHANNELS
        and call.elements >= _FEWEST_ELEMENTS
        and not being_compiled()
    )


def compiled_is_faster(call: Call) -> bool:
    """Tells whether passes of our own beat what XLA makes of the reference for such a call."""
    return is_large_and_static(call) and being_compiled()


def native(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any]:
    """See `reference.batch_normalization`."""
    # The native operation is slow on float16 and fast on bfloat16.
    x = tf.cast(inputs, tf.float32) if inputs.dtype == tf.float16 else inputs
    x, restore = channels_last(x, axis)
    shape, channels = tf.shape(x), x.shape[-1]
    images = x if len(x.shape) == 4 else tf.reshape(x, [shape[0], tf.reduce_prod(shape[1:-1]), 1, channels])
    scale, offset = affine_weights(gamma, beta, channels)
    outputs, mean, sample_variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=images,
        scale=scale,
        offset=offset,
        mean=tf.zeros(0),
        variance=tf.zeros(0),
        epsilon=epsilon,
        is_training=True,
    )
    if outputs.shape.rank != len(x.shape):
        outputs = tf.reshape(outputs, shape)
    outputs.set_shape(x.shape)
    # The operation divides by n - 1, Keras's moving variance by n.
    count = tf.cast(tf.reduce_prod(shape[:-1]), tf.float32)
    return tf.cast(restore(outputs), inputs.dtype), mean, sample_variance * ((count - 1) / count)


def compiled(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any]:
    """See `reference.batch_normalization`."""
    x, restore = channels_last(inputs, axis)
    outputs, mean, variance = _operation(epsilon)(x, *affine_weights(gamma, beta, x.shape[-1]))
    return restore(outputs), tf.stop_gradient(mean), tf.stop_gradient(variance)


@functools.cache
def _operation(epsilon: float) -> Callable[..., Any]:
    def forward(inputs: Any, gamma: Any, beta: Any) -> Any:
        x = rows(inputs)
        mean = tf.reduce_mean(x, 0)
        variance = tf.reduce_mean(tf.square(x - mean), 0)
        inverse = tf.math.rsqrt(variance + epsilon)
        scale = inverse * gamma
        outputs = x * scale + (beta - mean * scale)
        outputs = tf.cast(tf.reshape(outputs, tf.shape(inputs)), inputs.dtype)
        return (outputs, mean, variance), (mean, inverse)

    def backward(cotangent: Any, inputs: Any, gamma: Any, beta: Any, mean: Any, inverse: Any) -> Any:
        dy, x = rows(cotangent), rows(inputs)
        count = tf.cast(tf.shape(x)[0], x.dtype)
        dbeta = tf.reduce_sum(dy, 0)
        dgamma = tf.reduce_sum(dy * (x - mean), 0) * inverse
        # dx = gamma · inverse · (dy - mean(dy) - normalized · mean(dy · normalized))
        scale = inverse * gamma
        by_x = -scale * inverse * dgamma / count
        dx = dy * scale + x * by_x - (scale * dbeta / count + mean * by_x)
        return tf.cast(tf.reshape(dx, tf.shape(inputs)), inputs.dtype), dgamma, dbeta

    return differentiable(forward, backward)
