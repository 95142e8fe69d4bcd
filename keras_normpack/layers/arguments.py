"""Checks of constructor arguments and input shapes that the layers share, in one wording."""

import math
from typing import Any


def check_rate(layer: Any, name: str, value: Any) -> float:
    """Gives back a rate, if it is one.

    Args:
        layer: The layer whose argument it is.
        name: Name of the argument.
        value: Its value, a number in [0, 1).

    Returns:
        The value as a float.

    Raises:
        ValueError: If it is not a number in [0, 1).
    """
    if not _is_number(value) or not 0 <= value < 1:
        raise ValueError(
            f"Argument `{name}` of {type(layer).__name__} must be a number in [0, 1). Received: {name}={value!r}"
        )
    return float(value)


def check_positive(layer: Any, name: str, value: Any) -> float:
    """Gives back a number above 0, if it is one.

    Args:
        layer: The layer whose argument it is.
        name: Name of the argument.
        value: Its value, a number above 0.

    Returns:
        The value as a float.

    Raises:
        ValueError: If it is not a number above 0.
    """
    if not _is_number(value) or not value > 0:
        raise ValueError(
            f"Argument `{name}` of {type(layer).__name__} must be a number above 0. Received: {name}={value!r}"
        )
    return float(value)


def check_within(layer: Any, name: str, value: Any, lowest: float, highest: float = math.inf) -> float:
    """Gives back a number, if it lies within bounds.

    Args:
        layer: The layer whose argument it is.
        name: Name of the argument.
        value: Its value, a number in [lowest, highest].
        lowest: The least it may be.
        highest: The most it may be, infinity if not given.

    Returns:
        The value as a float.

    Raises:
        ValueError: If it is not a number within the bounds.
    """
    if not _is_number(value) or not lowest <= value <= highest:
        bounds = f"from {lowest:g}" if highest == math.inf else f"in [{lowest:g}, {highest:g}]"
        raise ValueError(
            f"Argument `{name}` of {type(layer).__name__} must be a number {bounds}. Received: {name}={value!r}"
        )
    return float(value)


def check_positive_integer(layer: Any, name: str, value: Any) -> int:
    """Gives back an integer from 1, if it is one.

    Args:
        layer: The layer whose argument it is.
        name: Name of the argument.
        value: Its value, an integer from 1.

    Returns:
        The value.

    Raises:
        ValueError: If it is not an integer from 1.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"Argument `{name}` of {type(layer).__name__} must be an integer from 1. Received: {name}={value!r}"
        )
    return value


def check_axis(layer: Any, axis: Any) -> int:
    """Gives back a channel axis, if it can be one.

    Args:
        layer: The layer whose argument it is.
        axis: An integer other than 0, the batch axis.

    Returns:
        The axis.

    Raises:
        ValueError: If it is not an integer other than 0.
    """
    if not isinstance(axis, int) or isinstance(axis, bool) or axis == 0:
        raise ValueError(
            f"Argument `axis` of {type(layer).__name__} must be an integer other than 0, the batch axis. "
            f"Received: axis={axis!r}"
        )
    return axis


def channels_on(layer: Any, input_shape: tuple[int | None, ...], axis: int, least_rank: int = 2) -> int:
    """Number of channels of inputs of a given shape.

    Args:
        layer: The layer that is built.
        input_shape: Shape of its inputs with the batch, such as `(batch, height, width, channels)`.
        axis: The channel axis, counted from either end.
        least_rank: The fewest axes the inputs may have, the batch included.

    Returns:
        The number of channels.

    Raises:
        ValueError: If the inputs have too few axes, the axis is the batch axis or none of theirs, or the number of
            channels is unknown.
    """
    who = f"{type(layer).__name__} {layer.name!r}"
    rank = len(input_shape)
    if rank < least_rank:
        raise ValueError(
            f"{who} needs inputs with at least {least_rank} axes, the batch included. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    if not -rank < axis < rank or axis == 0:
        raise ValueError(
            f"Argument `axis` of {who} must name an axis of the inputs other than the batch axis, from 1 to {rank - 1} "
            f"or from -{rank - 1} to -1. Received: axis={axis}, input_shape={tuple(input_shape)}"
        )
    channels = input_shape[axis]
    if channels is None:
        raise ValueError(
            f"{who} needs a known number of channels on axis {axis}. Received: input_shape={tuple(input_shape)}"
        )
    return channels


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
