"""Batch normalization of consecutive parts of a batch, each by statistics of its own."""

import math
from typing import Any

from keras import ops

from keras_normpack import kernels
from keras_normpack.layers.normalization.batch_statistics import BatchStatistics, is_any_sample
from keras_normpack.statistics import position_axes, statistics_dtype


def normalize_ghost_batches(
    inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float, size: int
) -> tuple[Any, BatchStatistics]:
    """Normalizes each consecutive group of samples by its own mean and variance.

    Args:
        inputs: Tensor of rank 2 or more, such as `(batch, height, width, channels)`; the batch may be of unknown size.
        gamma: Scale, shape `(channels,)`, or `None` for 1.
        beta: Offset, shape `(channels,)`, or `None` for 0.
        axis: The channel axis.
        epsilon: Added to the variance, above 0.
        size: Samples in a group; the last group has the rest.

    Returns:
        Outputs of the inputs' shape and dtype; mean over the samples of the mean and of the variance of their group.

    Source:
        Hoffer et al. 2017, arXiv:1705.08741, algorithm 1.
    """
    group = kernels.Call((size, *inputs.shape[1:]), kernels.Call.of(inputs, axis).dtype, axis % len(inputs.shape))
    kernel = kernels.choose("batch_normalization", group)
    if kernel is None or not inputs.shape[0]:
        return _all_groups_at_once(inputs, gamma, beta, axis, epsilon, size)
    return _group_by_group(kernel, inputs, gamma, beta, axis, epsilon, size)


def _group_by_group(
    kernel: Any, inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float, size: int
) -> tuple[Any, BatchStatistics]:
    batch = inputs.shape[0]
    # Slices would do, but the gradient of each would be as large as the whole batch.
    starts = list(range(size, batch, size))
    groups = ops.split(inputs, starts, axis=0) if starts else [inputs]
    outputs, means, variances = zip(
        *(kernel(group, gamma, beta, axis=axis, epsilon=epsilon) for group in groups), strict=True
    )
    shares = [group.shape[0] / batch for group in groups]
    mean, variance = (
        sum(share * value for share, value in zip(shares, values, strict=True)) for values in (means, variances)
    )
    return ops.concatenate(outputs, axis=0), BatchStatistics(mean, variance, True)


def _all_groups_at_once(
    inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float, size: int
) -> tuple[Any, BatchStatistics]:
    """Averages per sample first, so that only matrices of `(batch, channels)` are put into groups."""
    x = ops.cast(inputs, statistics_dtype(inputs))
    rank = len(x.shape)
    channel_axis = axis % rank
    positions = position_axes(rank, axis)
    sizes = ops.shape(x)
    batch, channels = sizes[0], sizes[channel_axis]
    values_per_sample = math.prod(sizes[other] for other in positions)
    groups = (batch + size - 1) // size
    missing = groups * size - batch
    first_of_group = ops.arange(groups) * size
    counts = ops.cast(ops.minimum(batch - first_of_group, size) * values_per_sample, x.dtype)[:, None]
    per_sample_and_channel = tuple(full if other in (0, channel_axis) else 1 for other, full in enumerate(sizes))

    def means_of_own_group(values: Any) -> Any:
        per_sample = ops.sum(values, axis=positions) if positions else values
        padded = ops.concatenate([per_sample, ops.zeros((missing, channels), x.dtype)], axis=0)
        means = ops.sum(ops.reshape(padded, (groups, size, channels)), axis=1) / counts
        return ops.repeat(means, size, axis=0)[:batch]

    mean = means_of_own_group(x)
    variance = means_of_own_group(ops.square(x - ops.reshape(mean, per_sample_and_channel)))
    scale = ops.rsqrt(variance + epsilon)
    if gamma is not None:
        scale = scale * ops.cast(gamma, x.dtype)
    offset = -mean * scale
    if beta is not None:
        offset = offset + ops.cast(beta, x.dtype)
    outputs = x * ops.reshape(scale, per_sample_and_channel) + ops.reshape(offset, per_sample_and_channel)
    statistics = BatchStatistics(ops.mean(mean, axis=0), ops.mean(variance, axis=0), is_any_sample(inputs))
    return ops.cast(outputs, inputs.dtype), statistics
