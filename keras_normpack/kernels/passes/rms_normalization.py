"""Passes of RMS normalization."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_normpack.kernels.passes.shapes import like, row_means, rows


def passes(epsilon: float) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Gives the forward and the backward pass.

    Args:
        epsilon: Added to the mean square.
    """

    def forward(inputs: Any, gamma: Any) -> Any:
        x = rows(inputs)
        inverse = ops.rsqrt(row_means(x * x) + epsilon)
        return (like(x * inverse * gamma, inputs),), (inverse,)

    def backward(cotangent: Any, inputs: Any, gamma: Any, inverse: Any) -> Any:
        dy = rows(cotangent)
        normalized = rows(inputs) * inverse
        products = dy * normalized
        dx = inverse * (dy * gamma - normalized * row_means(products * gamma))
        return like(dx, inputs), ops.sum(products, 0)

    return forward, backward
