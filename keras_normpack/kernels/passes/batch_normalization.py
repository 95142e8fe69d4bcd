"""Passes of batch normalization."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_normpack.kernels.passes.shapes import like, rows


def passes(epsilon: float) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Gives the forward and the backward pass; forward also returns mean and variance of the batch.

    Args:
        epsilon: Added to the variance.
    """

    def forward(inputs: Any, gamma: Any, beta: Any) -> Any:
        x = rows(inputs)
        mean = ops.mean(x, 0)
        variance = ops.mean(ops.square(x - mean), 0)
        inverse = ops.rsqrt(variance + epsilon)
        scale = inverse * gamma
        return (like(x * scale + (beta - mean * scale), inputs), mean, variance), (mean, inverse)

    def backward(cotangent: Any, inputs: Any, gamma: Any, beta: Any, mean: Any, inverse: Any) -> Any:
        dy, x = rows(cotangent), rows(inputs)
        count = ops.cast(ops.shape(x)[0], "float32")
        dbeta = ops.sum(dy, 0)
        dgamma = ops.sum(dy * (x - mean), 0) * inverse
        # dx = gamma · inverse · (dy - mean(dy) - normalized · mean(dy · normalized))
        scale = inverse * gamma
        by_x = -scale * inverse * dgamma / count
        dx = dy * scale + x * by_x - (scale * dbeta / count + mean * by_x)
        return like(dx, inputs), dgamma, dbeta

    return forward, backward
