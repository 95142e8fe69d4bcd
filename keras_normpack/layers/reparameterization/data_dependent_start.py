"""Lengths and biases with which a batch comes out of a layer with mean 0 and variance 1 per channel."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

from keras_normpack.layers.reparameterization.kernel_axes import kernels_of
from keras_normpack.layers.reparameterization.substitution import call_with
from keras_normpack.statistics import align_mask, moments_over, statistics_dtype

# Outputs that vary less over the batch are constant to rounding; such a channel keeps its length.
_CONSTANT = 1e-10
# Keeps their variance of 0 from being divided by.
_TINY = 1e-30


def started_variables(layer: keras.layers.Layer, length: Any) -> tuple[Any, ...]:
    """Lists the variables that a start sets: the lengths and, where the layer has one, its bias."""
    bias = getattr(layer, "bias", None)
    return (length,) if bias is None else (length, bias)


def started_values(
    layer: keras.layers.Layer, length: Any, kernels: Sequence[tuple[Any, Any]], inputs: Any, mask: Any
) -> tuple[Any, ...]:
    """Computes `g / σ` and `-μ / σ` of the layer's outputs without bias and activation (equation 6).

    Args:
        layer: The built layer.
        length: The variable g, with a value per output channel.
        kernels: The layer's kernel variables, each with the value to use.
        inputs: A batch of the layer's inputs.
        mask: Positions of the outputs that count, `(batch, ...)`, or `None` for all.

    Returns:
        A value for each of `started_variables`.
    """
    bias = getattr(layer, "bias", None)
    without_bias = [] if bias is None else [(bias, ops.zeros(bias.shape, bias.dtype))]
    with _linear(layer):
        outputs = call_with(layer, [*kernels, *without_bias], inputs).outputs
    outputs = ops.cast(outputs, statistics_dtype(outputs))
    rank = len(outputs.shape)
    channels = [axis % rank for axis in kernels_of(layer)[-1].outputs]
    others = tuple(axis for axis in range(rank) if axis not in channels)
    positions = None if mask is None else align_mask(mask, rank, channels[0])
    mean, variance = (ops.squeeze(moment, others) for moment in moments_over(outputs, others, positions))
    scale = ops.where(variance > _CONSTANT, ops.rsqrt(variance + _TINY), 1)
    in_kernel_order = [sorted(channels).index(axis) for axis in channels]
    scaled = ops.cast(length, scale.dtype) * ops.reshape(ops.transpose(scale, in_kernel_order), length.shape)
    if bias is None:
        return (ops.cast(scaled, length.dtype),)
    return ops.cast(scaled, length.dtype), ops.cast(ops.reshape(-mean * scale, bias.shape), bias.dtype)


@contextlib.contextmanager
def _linear(layer: keras.layers.Layer) -> Iterator[None]:
    """Takes the activation off a layer for a while."""
    if not hasattr(layer, "activation"):
        yield
        return
    activation, layer.activation = layer.activation, keras.activations.linear
    try:
        yield
    finally:
        layer.activation = activation
