"""The corrections by which batch renormalization makes training normalize as inference does."""

from collections.abc import Mapping
from typing import Any

from keras import ops


def renormalization_corrections(
    mean: Any, stddev: Any, renorm_mean: Any, renorm_stddev: Any, epsilon: float, clipping: Mapping[str, float]
) -> tuple[Any, Any]:
    """Scale and offset that bring a normalized batch to the moving statistics.

    `r = clip(stddev / renorm_stddev, rmin, rmax)` and `d = clip((mean - renorm_mean) / renorm_stddev, -dmax, dmax)`,
    both constants to the gradient.

    Args:
        mean: Mean of the batch, shape `(channels,)`.
        stddev: Standard deviation of the batch, epsilon within the root, shape `(channels,)`.
        renorm_mean: Moving mean, shape `(channels,)`.
        renorm_stddev: Moving standard deviation, shape `(channels,)`.
        epsilon: Added to variances; its root is the least deviation that is divided by.
        clipping: Bounds by name: any of `"rmin"`, `"rmax"` and `"dmax"`.

    Returns:
        `r` and `d`, shape `(channels,)`.

    Source:
        Ioffe 2017, arXiv:1702.03275, algorithm 1.
    """
    moving_stddev = ops.maximum(ops.cast(renorm_stddev, mean.dtype), epsilon**0.5)
    r = stddev / moving_stddev
    d = (mean - ops.cast(renorm_mean, mean.dtype)) / moving_stddev
    if (least := clipping.get("rmin")) is not None:
        r = ops.maximum(r, least)
    if (largest := clipping.get("rmax")) is not None:
        r = ops.minimum(r, largest)
    if (farthest := clipping.get("dmax")) is not None:
        d = ops.clip(d, -farthest, farthest)
    return ops.stop_gradient(r), ops.stop_gradient(d)
