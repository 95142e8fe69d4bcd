"""Views of a tensor that passes work on, and averages over them."""

import math
from typing import Any

from keras import ops


def rows(inputs: Any) -> Any:
    """Gives a tensor as a float32 matrix `(vectors, channels)`, one row per vector along its last axis."""
    return ops.reshape(ops.cast(inputs, "float32"), (-1, inputs.shape[-1]))


def positions(inputs: Any) -> Any:
    """Gives a tensor as float32 `(batch, positions, channels)`."""
    return ops.reshape(ops.cast(inputs, "float32"), (-1, math.prod(inputs.shape[1:-1]), inputs.shape[-1]))


def like(values: Any, inputs: Any) -> Any:
    """Gives values in the shape and dtype of the inputs."""
    return ops.cast(ops.reshape(values, ops.shape(inputs)), inputs.dtype)


def row_means(matrix: Any) -> Any:
    """Averages each row: `(vectors, channels)` to `(vectors, 1)`.

    Product with a vector: XLA reduces along the innermost axis one number at a time, but multiplies vectors at full
    speed, and computes what is multiplied on the way.
    """
    channels = matrix.shape[-1]
    return ops.matmul(matrix, ops.full((channels, 1), 1 / channels, dtype="float32"))


def position_means(values: Any) -> Any:
    """Averages over positions, to `(batch, 1, channels)`, by a product as in `row_means`."""
    count = values.shape[1]
    return ops.matmul(ops.full((ops.shape(values)[0], 1, count), 1 / count, dtype="float32"), values)
