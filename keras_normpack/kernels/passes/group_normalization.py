"""Passes of group normalization: two sums per sample and channel, then one affine map."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_normpack.kernels.passes.shapes import like, position_means, positions


def passes(groups: int, epsilon: float) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Gives the forward and the backward pass; every number per sample and channel has shape `(batch, 1, channels)`.

    Args:
        groups: Number of groups, a divisor of the number of channels.
        epsilon: Added to the variance.
    """

    def forward(inputs: Any, gamma: Any, beta: Any) -> Any:
        x = positions(inputs)
        mean = _group_means(position_means(x), groups)
        centered = x - mean
        inverse = ops.rsqrt(_group_means(position_means(centered * centered), groups) + epsilon)
        scale = inverse * gamma
        return (like(x * scale + (beta - mean * scale), inputs),), (mean, inverse)

    def backward(cotangent: Any, inputs: Any, gamma: Any, beta: Any, mean: Any, inverse: Any) -> Any:
        dy, x = positions(cotangent), positions(inputs)
        mean_dy = position_means(dy)
        mean_product = position_means(dy * (x - mean)) * inverse
        # dx = inverse · (gamma · dy - mean(gamma · dy) - normalized · mean(gamma · dy · normalized))
        by_x = -inverse * inverse * _group_means(mean_product * gamma, groups)
        constant = -inverse * _group_means(mean_dy * gamma, groups) - mean * by_x
        dx = dy * (inverse * gamma) + x * by_x + constant
        count = x.shape[1]
        return like(dx, inputs), ops.sum(mean_product, (0, 1)) * count, ops.sum(mean_dy, (0, 1)) * count

    return forward, backward


def _group_means(per_channel: Any, groups: int) -> Any:
    """Averages over the channels of each group, and repeats the average for each of them."""
    channels = per_channel.shape[-1]
    if groups == channels:
        return per_channel
    members = ops.reshape(per_channel, (-1, groups, channels // groups))
    means = ops.broadcast_to(ops.mean(members, -1, keepdims=True), ops.shape(members))
    return ops.reshape(means, (-1, 1, channels))
