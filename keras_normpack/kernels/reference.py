"""The definition of every operation in `keras.ops`: what is computed where no kernel is faster, and what kernels match.

Inputs may have any float dtype. Statistics are float32 at least, outputs have the dtype of the inputs.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_normpack.statistics import align_mask, moments_over, per_channel, position_axes, statistics_dtype


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
    x = ops.cast(inputs, statistics_dtype(inputs))
    channel_axis = axis % len(x.shape)
    axes = [other for other in range(len(x.shape)) if other != channel_axis]
    mean, variance = (ops.squeeze(moment, axes) for moment in moments_over(x, axes))
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
    x = ops.cast(inputs, statistics_dtype(inputs))
    rank = len(x.shape)
    counted = None if mask is None else align_mask(mask, rank, axis)
    mean, variance = moments_over(x, position_axes(rank, axis), counted)
    scale = ops.rsqrt(variance + epsilon)
    if gamma is not None:
        scale = scale * per_channel(gamma, x, axis)
    offset = -mean * scale
    if beta is not None:
        offset = offset + per_channel(beta, x, axis)
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
    x = ops.cast(inputs, statistics_dtype(inputs))
    rank = len(x.shape)
    channel_axis = axis % rank
    channels = x.shape[channel_axis]
    sizes = tuple(ops.shape(x))
    members = channel_axis + 1
    grouped = ops.reshape(x, (*sizes[:channel_axis], groups, channels // groups, *sizes[members:]))
    reduced = position_axes(rank + 1, channel_axis)
    counted = None if mask is None else ops.expand_dims(align_mask(mask, rank, axis), members)
    mean, variance = moments_over(grouped, reduced, counted)
    of_each_channel = (sizes[0], *(channels if other == channel_axis else 1 for other in range(1, rank)))
    scale = ops.reshape(ops.repeat(ops.rsqrt(variance + epsilon), channels // groups, axis=members), of_each_channel)
    mean = ops.reshape(ops.repeat(mean, channels // groups, axis=members), of_each_channel)
    if gamma is not None:
        scale = scale * per_channel(gamma, x, axis)
    offset = -mean * scale
    if beta is not None:
        offset = offset + per_channel(beta, x, axis)
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
    x = ops.cast(inputs, statistics_dtype(inputs))
    mean, variance = moments_over(x, [axis])
    outputs = (x - mean) * ops.rsqrt(variance + epsilon)
    if gamma is not None:
        outputs = outputs * per_channel(gamma, x, axis)
    if beta is not None:
        outputs = outputs + per_channel(beta, x, axis)
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
    x = ops.cast(inputs, statistics_dtype(inputs))
    outputs = x * ops.rsqrt(ops.mean(ops.square(x), axis=axis, keepdims=True) + epsilon)
    if gamma is not None:
        outputs = outputs * per_channel(gamma, x, axis)
    return ops.cast(outputs, inputs.dtype)


REFERENCES: dict[str, Callable[..., Any]] = {
    "batch_normalization": batch_normalization,
    "group_normalization": group_normalization,
    "instance_normalization": instance_normalization,
    "layer_normalization": layer_normalization,
    "rms_normalization": rms_normalization,
}
