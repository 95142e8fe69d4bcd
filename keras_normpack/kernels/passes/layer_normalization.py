"""Passes of layer normalization."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_normpack.kernels.passes.shapes import like, row_means, rows


def passes(epsilon: float) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Gives the forward and the backward pass.

    Args:
        epsilon: Added to the variance.
    """

    def forward(inputs: Any, gamma: Any, beta: Any) -> Any:
        x = rows(inputs)
        mean = row_means(x)
        centered = x - mean
        inverse = ops.rsqrt(row_means(centered * centered) + epsilon)
        return (like(centered * inverse * gamma + beta, inputs),), (mean, inverse)

    def backward(cotangent: Any, inputs: Any, gamma: Any, beta: Any, mean: Any, inverse: Any) -> Any:
        dy = rows(cotangent)
        normalized = (rows(inputs) - mean) * inverse
        products = dy * normalized
        dx = inverse * (dy * gamma - row_means(dy * gamma) - normalized * row_means(products * gamma))
        return like(dx, inputs), ops.sum(products, 0), ops.sum(dy, 0)

    return forward, backward
