"""Group and instance normalization: two sums per sample and channel, then one affine map; compiled."""

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_normpack.kernels.call import Call
from keras_normpack.kernels.tensorflow.compiled import affine_weights, differentiable
from keras_normpack.kernels.tensorflow.layout import channels_last
from keras_normpack.kernels.tensorflow.suitability import is_large_and_static


def is_faster(call: Call) -> bool:
    """Tells whether the compiled passes beat the reference for such a call."""
    return len(call.shape) > 2 and is_large_and_static(call)


def compiled(inputs: Any, gamma: Any, beta: Any, groups: int, axis: int, epsilon: float) -> Any:
    """See `reference.group_normalization`."""
    x, restore = channels_last(inputs, axis)
    (outputs,) = _operation(groups, epsilon)(x, *affine_weights(gamma, beta, x.shape[-1]))
    return restore(outputs)


def compiled_instance(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> Any:
    """See `reference.instance_normalization`."""
    return compiled(inputs, gamma, beta, groups=inputs.shape[axis], axis=axis, epsilon=epsilon)


@functools.cache
def _operation(groups: int, epsilon: float) -> Callable[..., Any]:
    # Every number per sample and channel has the shape (batch, 1, channels).
    def forward(inputs: Any, gamma: Any, beta: Any) -> Any:
        x = _positions(inputs)
        mean = _group_means(_position_means(x), groups)
        centered = x - mean
        variance = _group_means(_position_means(centered * centered), groups)
        inverse = tf.math.rsqrt(variance + epsilon)
        scale = inverse * gamma
        outputs = x * scale + (beta - mean * scale)
        return (tf.cast(tf.reshape(outputs, tf.shape(inputs)), inputs.dtype),), (mean, inverse)

    def backward(cotangent: Any, inputs: Any, gamma: Any, beta: Any, mean: Any, inverse: Any) -> Any:
        dy, x = _positions(cotangent), _positions(inputs)
        mean_dy = _position_means(dy)
        mean_product = _position_means(dy * (x - mean)) * inverse
        # dx = inverse · (gamma · dy - mean(gamma · dy) - normalized · mean(gamma · dy · normalized))
        by_x = -inverse * inverse * _group_means(mean_product * gamma, groups)
        constant = -inverse * _group_means(mean_dy * gamma, groups) - mean * by_x
        dx = dy * (inverse * gamma) + x * by_x + constant
        dx = tf.cast(tf.reshape(dx, tf.shape(inputs)), inputs.dtype)
        positions = float(x.shape[1])
        return dx, tf.reduce_sum(mean_product, [0, 1]) * positions, tf.reduce_sum(mean_dy, [0, 1]) * positions

    return differentiable(forward, backward)


def _positions(inputs: Any) -> Any:
    """Gives a tensor as float32 `(batch, positions, channels)`."""
    return tf.reshape(tf.cast(inputs, tf.float32), [-1, math.prod(inputs.shape[1:-1]), inputs.shape[-1]])


def _position_means(x: Any) -> Any:
    # A product of matrices: faster than a reduction, see `compiled.row_means`.
    return tf.fill([tf.shape(x)[0], 1, x.shape[1]], 1 / x.shape[1]) @ x


def _group_means(per_channel: Any, groups: int) -> Any:
    """Averages `(batch, 1, channels)` over the channels of each group, and repeats the average for each of them."""
    channels = per_channel.shape[-1]
    if groups == channels:
        return per_channel
    members = tf.reshape(per_channel, [-1, groups, channels // groups])
    means = tf.broadcast_to(tf.reduce_mean(members, -1, keepdims=True), tf.shape(members))
    return tf.reshape(means, [-1, 1, channels])
