"""Mean and variance of a batch: of the positions that a mask leaves, of one replica or of all."""

import math
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_normpack.replicas import mean_over_replicas
from keras_normpack.statistics import align_mask, position_axes


@dataclass(frozen=True)
class BatchStatistics:
    """What a training batch says about its channels.

    Args:
        mean: Tensor of shape `(channels,)`.
        variance: Tensor of shape `(channels,)`, divided by n.
        counted: Whether anything was averaged: `True`, or a boolean tensor where only the running graph knows. If not,
            mean and variance say nothing.
    """

    mean: Any
    variance: Any
    counted: Any


def batch_statistics(inputs: Any, axis: int, mask: Any, synchronized: bool) -> BatchStatistics:
    """Averages over the batch and all positions.

    Mean and variance are taken in two passes, also over replicas: the difference of mean square and squared mean loses
    the variance of inputs that lie far from 0.

    Args:
        inputs: Tensor of rank 2 or more, of float32 or wider, such as `(batch, height, width, channels)`.
        axis: The channel axis.
        mask: Positions that count, along the axes that are not the channel axis, or `None` for all.
        synchronized: Whether to average over the replicas of a `tf.distribute` strategy, too.

    Returns:
        The statistics; 0 where nothing counts.
    """
    rank = len(inputs.shape)
    reduced = (0, *position_axes(rank, axis))
    sizes = ops.shape(inputs)
    valid = None if mask is None else _spread(align_mask(mask, rank, axis), sizes, axis)
    # The mean over the replicas stands for their sum, as it is divided by the mean count.
    over_replicas = mean_over_replicas if synchronized else _itself
    if valid is None:
        count = ops.cast(math.prod(sizes[other] for other in reduced), inputs.dtype)
    else:
        count = ops.sum(ops.cast(valid, inputs.dtype))
    count = over_replicas(count)
    divisor = ops.where(count > 0, count, 1)

    def mean(values: Any) -> Any:
        return over_replicas(ops.sum(values, axis=reduced, keepdims=True)) / divisor

    center = mean(inputs if valid is None else ops.where(valid, inputs, 0))
    deviations = inputs - center
    variance = mean(ops.square(deviations if valid is None else ops.where(valid, deviations, 0)))
    channels = (sizes[axis],)
    return BatchStatistics(ops.reshape(center, channels), ops.reshape(variance, channels), count > 0)


def is_any_sample(inputs: Any) -> Any:
    """Tells whether a batch has a sample: a replica's part of the last batch of an epoch may have none.

    Args:
        inputs: Tensor, the batch first.

    Returns:
        `True` or `False` where the batch size is known, else a boolean tensor.
    """
    return ops.shape(inputs)[0] > 0


def _spread(mask: Any, sizes: tuple[Any, ...], axis: int) -> Any:
    """Repeats the mask over all positions, but not over the channels."""
    rank = len(sizes)
    return ops.broadcast_to(mask, tuple(1 if other == axis % rank else size for other, size in enumerate(sizes)))


def _itself(value: Any) -> Any:
    return value
