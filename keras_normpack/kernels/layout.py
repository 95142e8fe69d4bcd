"""Channels on the last axis, where kernels want them."""

from collections.abc import Callable
from typing import Any

from keras import ops


def channels_last(inputs: Any, axis: int) -> tuple[Any, Callable[[Any], Any]]:
    """Moves the channel axis to the end.

    Args:
        inputs: Tensor of known rank.
        axis: The channel axis, counted from either end.

    Returns:
        The tensor with channels last, and what puts them back in such a tensor.
    """
    rank = len(inputs.shape)
    axis %= rank
    if axis == rank - 1:
        return inputs, lambda outputs: outputs
    to_last = (*(other for other in range(rank) if other != axis), axis)
    back = [to_last.index(position) for position in range(rank)]
    return ops.transpose(inputs, to_last), lambda outputs: ops.transpose(outputs, back)
