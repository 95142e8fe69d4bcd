"""Batch normalization through TensorFlow's native fused operation, which has a registered gradient."""

from typing import Any

import tensorflow as tf

from keras_normpack.kernels.call import Call
from keras_normpack.kernels.tensorflow.device import only_cpu_visible

# Measured on two CPU cores, forward and backward, against Keras 3.15.1: below these sizes the native operation's fixed
# cost of about 0.25 ms, and its poor use of vectors on few channels, make it slower (0.5 to 0.9×); above, for every
# rank and channel axis, it is faster (1.1 to 6×).
_FEWEST_ELEMENTS = 2**17
_FEWEST_CHANNELS = 4


def is_faster(call: Call) -> bool:
    """Tells whether the native operation beats the reference for such a call."""
    return (
        only_cpu_visible()
        and call.dtype in ("float32", "bfloat16", "float16")
        and call.channels >= _FEWEST_CHANNELS
        and call.elements >= _FEWEST_ELEMENTS
    )


def fused(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any]:
    """See `reference.batch_normalization`."""
    # The native operation is slow on float16 and fast on bfloat16.
    x = tf.cast(inputs, tf.float32) if inputs.dtype == tf.float16 else inputs
    rank = len(x.shape)
    to_last = [other for other in range(rank) if other != axis % rank] + [axis % rank]
    outputs, mean, variance = _channels_last(tf.transpose(x, to_last) if _moves(to_last) else x, gamma, beta, epsilon)
    if _moves(to_last):
        outputs = tf.transpose(outputs, [to_last.index(position) for position in range(rank)])
    return tf.cast(outputs, inputs.dtype), mean, variance


def _channels_last(x: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    shape, channels = tf.shape(x), x.shape[-1]
    images = x if len(x.shape) == 4 else tf.reshape(x, [shape[0], tf.reduce_prod(shape[1:-1]), 1, channels])
    outputs, mean, sample_variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=images,
        scale=tf.ones(channels) if gamma is None else tf.cast(gamma, tf.float32),
        offset=tf.zeros(channels) if beta is None else tf.cast(beta, tf.float32),
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
    return outputs, mean, sample_variance * ((count - 1) / count)


def _moves(permutation: list[int]) -> bool:
    return permutation != sorted(permutation)
