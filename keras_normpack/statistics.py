"""Means over positions, and how masks and values per channel line up with the inputs; for layers and references.

Everything is computed in the dtype of the tensor that is given; `statistics_dtype` says which one that should be.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def statistics_dtype(inputs: Any) -> str:
    """Gives the dtype to compute statistics of the inputs in: theirs, but float32 at least."""
    # Not `keras.backend.result_type`, which makes float32 of float64 on JAX and torch.
    return "float64" if keras.backend.standardize_dtype(inputs.dtype) == "float64" else "float32"


def position_axes(rank: int, axis: int) -> tuple[int, ...]:
    """Lists all axes but the batch and the channel axis.

    Args:
        rank: Number of axes, the batch included.
        axis: The channel axis, counted from either end.

    Returns:
        The axes, counted from the front.
    """
    return tuple(other for other in range(1, rank) if other != axis % rank)


def per_channel(values: Any, inputs: Any, axis: int) -> Any:
    """Shapes one value per channel so that it lines up with the inputs.

    Args:
        values: Tensor of shape `(channels,)`.
        inputs: Tensor such as `(batch, height, width, channels)`.
        axis: The channel axis of the inputs, counted from either end.

    Returns:
        The values in the inputs' rank and dtype, such as `(1, 1, 1, channels)`.
    """
    rank = len(inputs.shape)
    shape = [-1 if other == axis % rank else 1 for other in range(rank)]
    return ops.reshape(ops.cast(values, inputs.dtype), shape)


def align_mask(mask: Any, rank: int, axis: int) -> Any:
    """Gives a mask the rank of the inputs, with size 1 on the channel axis and where it says nothing.

    Args:
        mask: Positions that count, such as `(batch, time)`, in the order of the axes that are not the channel axis.
        rank: Number of axes of the inputs, the batch included.
        axis: The channel axis of the inputs, counted from either end.

    Returns:
        A boolean tensor, such as `(batch, time, 1)`.
    """
    mask = ops.cast(mask, "bool")
    if axis % rank < len(mask.shape):
        mask = ops.expand_dims(mask, axis % rank)
    while len(mask.shape) < rank:
        mask = ops.expand_dims(mask, -1)
    return mask


def mean_over(inputs: Any, axes: Sequence[int], mask: Any = None) -> Any:
    """Averages over axes, which stay with size 1.

    Args:
        inputs: Float tensor.
        axes: The axes to average over.
        mask: Boolean tensor that broadcasts to the inputs, or `None` where all count. The mean of nothing is 0.

    Returns:
        The means, in the dtype of the inputs.
    """
    if mask is None:
        return ops.mean(inputs, axis=tuple(axes), keepdims=True)
    counted = ops.cast(ops.broadcast_to(mask, ops.shape(inputs)), inputs.dtype)
    # Selected, not multiplied: what the mask hides may be infinite.
    total = ops.sum(ops.where(mask, inputs, 0), axis=tuple(axes), keepdims=True)
    return total / ops.maximum(ops.sum(counted, axis=tuple(axes), keepdims=True), 1)


def moments_over(inputs: Any, axes: Sequence[int], mask: Any = None) -> tuple[Any, Any]:
    """Mean and population variance over axes, which stay with size 1.

    The variance is the mean squared distance from the mean, so that inputs far from 0 lose no digits.

    Args:
        inputs: Float tensor.
        axes: The axes to average over.
        mask: Boolean tensor that broadcasts to the inputs, or `None` where all count. Mean and variance of nothing
            are 0.

    Returns:
        Mean and variance, in the dtype of the inputs.
    """
    mean = mean_over(inputs, axes, mask)
    return mean, mean_over(ops.square(inputs - mean), axes, mask)
