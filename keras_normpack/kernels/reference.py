"""The definition of every operation in `keras.ops`: what is computed where no kernel is faster, and what kernels match.

Inputs may have any float dtype. Statistics are float32 at least, outputs have the dtype of the inputs.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def batch_normalization(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any]:
    """Normalizes each channel over the batch and all positions.

    `y = gamma · (x - mean) / sqrt(variance + epsilon) + beta` with the population variance (divided by n). Ioffe &
    Szegedy 2015, arXiv:1502.03167, algorithm 1.

    Args:
        inputs: Tensor of rank 2 or more, such as `(batch, height, width, channels)`.
        gamma: Scale, shape `(channels,)`, or `None` for 1.
        beta: Offset, shape `(channels,)`, or `None` for 0.
        axis: The channel axis.
        epsilon: Added to the variance, above 0.

    Returns:
        Outputs of the inputs' shape and dtype, mean and variance of shape `(channels,)`; no gradient flows through the
        latter two, which are for the moving averages.
    """
    x = ops.cast(inputs, _statistics_dtype(inputs))
    channel_axis = axis % len(x.shape)
    mean, variance = ops.moments(x, axes=[other for other in range(len(x.shape)) if other != channel_axis])
    outputs = ops.batch_normalization(
        x,
        mean,
        variance,
        axis=axis,
        offset=None if beta is None else ops.cast(beta, x.dtype),
        scale=None if gamma is None else ops.cast(gamma, x.dtype),
        epsilon=epsilon,
    )
    return ops.cast(outputs, inputs.dtype), ops.stop_gradient(mean), ops.stop_gradient(variance)


def instance_normalization(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float, mask: Any = None) -> Any:
    """Normalizes each channel of each sample over all positions.

    `y = gamma · (x - mean) / sqrt(variance + epsilon) + beta` with statistics per sample and channel. Ulyanov et al.
    2016, arXiv:1607.08022, equation 2. It is computed as `x · a + b` with a and b per sample and channel, which needs
    fewer passes over the inputs.

    Args:
        inputs: Tensor of rank 3 or more, such as `(batch, height, width, channels)`.
        gamma: Scale, shape `(channels,)`, or `None` for 1.
        beta: Offset, shape `(channels,)`, or `None` for 0.
        axis: The channel axis.
        epsilon: Added to the variance, above 0.
        mask: Positions that count, shape `(batch, time)` or deeper along the axes that are not the channel axis, or
            `None` for all.

    Returns:
        Outputs of the inputs' shape and dtype.
    """
    x = ops.cast(inputs, _statistics_dtype(inputs))
    rank = len(x.shape)
    channel_axis = axis % rank
    positions = tuple(other for other in range(1, rank) if other != channel_axis)
    if mask is None:
        mean, variance = ops.moments(x, axes=positions, keepdims=True)
    else:
        mean, variance = _masked_moments(x, _align(mask, rank, channel_axis), positions)
    channels_only = [-1 if other == channel_axis else 1 for other in range(rank)]
    scale = ops.rsqrt(variance + epsilon)
    if gamma is not None:
        scale = scale * ops.reshape(ops.cast(gamma, x.dtype), channels_only)
    offset = -mean * scale
    if beta is not None:
        offset = offset + ops.reshape(ops.cast(beta, x.dtype), channels_only)
    return ops.cast(x * scale + offset, inputs.dtype)


def group_normalization(
    inputs: Any, gamma: Any, beta: Any, groups: int, axis: int, epsilon: float, mask: Any = None
) -> Any:
    """Normalizes groups of channels of each sample over all positions.

    `y = gamma · (x - mean) / sqrt(variance + epsilon) + beta` with statistics per sample and group. Wu & He 2018,
    arXiv:1803.08494, equations 1 to 6. It is computed as `x · a + b` with a and b per sample and channel.

    Args:
        inputs: Tensor of rank 2 or more, such as `(batch, height, width, channels)`; the channels are known.
        gamma: Scale, shape `(channels,)`, or `None` for 1.
        beta: Offset, shape `(channels,)`, or `None` for 0.
        groups: Number of groups, a divisor of the number of channels.
        axis: The channel axis.
        epsilon: Added to the variance, above 0.
        mask: Positions that count, shape `(batch, time)` or deeper along the axes that are not the channel axis, or
            `None` for all.

    Returns:
        Outputs of the inputs' shape and dtype.
    """
    x = ops.cast(inputs, _statistics_dtype(inputs))
    rank = len(x.shape)
    channel_axis = axis % rank
    channels = x.shape[channel_axis]
    sizes = tuple(ops.shape(x))
    members = channel_axis + 1
    grouped = ops.reshape(x, (*sizes[:channel_axis], groups, channels // groups, *sizes[members:]))
    reduced = tuple(other for other in range(1, rank + 1) if other != channel_axis)
    if mask is None:
        mean, variance = ops.moments(grouped, axes=reduced, keepdims=True)
    else:
        positions = ops.expand_dims(_align(mask, rank, channel_axis), members)
        mean, variance = _masked_moments(grouped, positions, reduced)
    channels_only = [channels if other == channel_axis else 1 for other in range(rank)]
    per_channel = (sizes[0], *channels_only[1:])
    scale = ops.reshape(ops.repeat(ops.rsqrt(variance + epsilon), channels // groups, axis=members), per_channel)
    mean = ops.reshape(ops.repeat(mean, channels // groups, axis=members), per_channel)
    if gamma is not None:
        scale = scale * ops.reshape(ops.cast(gamma, x.dtype), channels_only)
    offset = -mean * scale
    if beta is not None:
        offset = offset + ops.reshape(ops.cast(beta, x.dtype), channels_only)
    return ops.cast(x * scale + offset, inputs.dtype)


def layer_normalization(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> Any:
    """Normalizes along one axis, each position of each sample by itself.

    `y = gamma · (x - mean) / sqrt(variance + epsilon) + beta`. Ba et al. 2016, arXiv:1607.06450, equation 4.

    Args:
        inputs: Tensor of rank 2 or more, such as `(batch, time, features)`.
        gamma: Scale, shape `(features,)`, or `None` for 1.
        beta: Offset, shape `(features,)`, or `None` for 0.
        axis: The axis that is normalized along.
        epsilon: Added to the variance, above 0.

    Returns:
        Outputs of the inputs' shape and dtype.
    """
    x = ops.cast(inputs, _statistics_dtype(inputs))
    mean, variance = ops.moments(x, axes=[axis], keepdims=True)
    outputs = (x - mean) * ops.rsqrt(variance + epsilon)
    along_axis = [-1 if other == axis % len(x.shape) else 1 for other in range(len(x.shape))]
    if gamma is not None:
        outputs = outputs * ops.reshape(ops.cast(gamma, x.dtype), along_axis)
    if beta is not None:
        outputs = outputs + ops.reshape(ops.cast(beta, x.dtype), along_axis)
    return ops.cast(outputs, inputs.dtype)


def rms_normalization(inputs: Any, gamma: Any, axis: int, epsilon: float) -> Any:
    """Divides by the root of the mean square along one axis.

    `y = gamma · x / sqrt(mean(x²) + epsilon)`. Zhang & Sennrich 2019, arXiv:1910.07467, equation 4.

    Args:
        inputs: Tensor of rank 2 or more, such as `(batch, time, features)`.
        gamma: Scale, shape `(features,)`, or `None` for 1.
        axis: The axis that is normalized along.
        epsilon: Added to the mean square, above 0.

    Returns:
        Outputs of the inputs' shape and dtype.
    """
    x = ops.cast(inputs, _statistics_dtype(inputs))
    outputs = x * ops.rsqrt(ops.mean(ops.square(x), axis=axis, keepdims=True) + epsilon)
    if gamma is not None:
        along_axis = [-1 if other == axis % len(x.shape) else 1 for other in range(len(x.shape))]
        outputs = outputs * ops.reshape(ops.cast(gamma, x.dtype), along_axis)
    return ops.cast(outputs, inputs.dtype)


def _statistics_dtype(inputs: Any) -> str:
    return keras.backend.result_type(inputs.dtype, "float32")


def _align(mask: Any, rank: int, channel_axis: int) -> Any:
    """Gives the mask the rank of the inputs, with size 1 where it says nothing."""
    if channel_axis < len(mask.shape):
        mask = ops.expand_dims(mask, channel_axis)
    while len(mask.shape) < rank:
        mask = ops.expand_dims(mask, -1)
    return mask


def _masked_moments(x: Any, mask: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    # A sample without one valid position gets mean 0 and variance 0, so nothing is divided by zero.
    weights = ops.broadcast_to(ops.cast(mask, x.dtype), ops.shape(x))
    count = ops.maximum(ops.sum(weights, axis=axes, keepdims=True), 1)
    valid = ops.cast(weights, "bool")
    mean = ops.sum(ops.where(valid, x, 0), axis=axes, keepdims=True) / count
    variance = ops.sum(ops.where(valid, ops.square(x - mean), 0), axis=axes, keepdims=True) / count
    return mean, variance


REFERENCES: dict[str, Callable[..., Any]] = {
    "batch_normalization": batch_normalization,
    "group_normalization": group_normalization,
    "instance_normalization": instance_normalization,
    "layer_normalization": layer_normalization,
    "rms_normalization": rms_normalization,
}
