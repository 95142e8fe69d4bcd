"""Batch normalization through TensorFlow's native fused operation, which has a registered gradient."""

from typing import Any

import tensorflow as tf

from keras_normpack.kernels.call import Call
from keras_normpack.kernels.layout import channels_last
from keras_normpack.kernels.tensorflow.device import being_compiled, only_cpu_visible

# Measured on two CPU cores, forward and backward, against Keras 3.15.1: below these sizes the native operation's fixed
# cost of about 0.25 ms, and its poor use of vectors on few channels, make it slower (0.5 to 0.9×); above, for every
# rank and channel axis, it is faster (1.1 to 6×).
_FEWEST_ELEMENTS = 2**17
_FEWEST_CHANNELS = 4


def is_faster(call: Call) -> bool:
    """Tells whether the native operation beats the reference for such a call; XLA would take it apart."""
    return (
        only_cpu_visible()
        and call.dtype in ("float32", "bfloat16", "float16")
        and call.channels >= _FEWEST_CHANNELS
        and call.elements >= _FEWEST_ELEMENTS
        and not being_compiled()
    )


def native(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any]:
    """See `reference.batch_normalization`."""
    # The native operation is slow on float16 and fast on bfloat16.
    x = tf.cast(inputs, tf.float32) if inputs.dtype == tf.float16 else inputs
    x, restore = channels_last(x, axis)
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
    return tf.cast(restore(outputs), inputs.dtype), mean, sample_variance * ((count - 1) / count)
