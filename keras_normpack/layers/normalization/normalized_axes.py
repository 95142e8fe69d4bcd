"""Axes that a layer normalizes along, one or several."""

from typing import Any


def as_axes(axis: Any) -> tuple[int, ...]:
    """Gives one axis or several as a tuple."""
    return (axis,) if isinstance(axis, int) else tuple(axis)


def check_normalized_axes(layer: Any, input_shape: tuple[int | None, ...]) -> None:
    """Checks that the inputs have the axes a layer normalizes along, and that their sizes are known.

    Args:
        layer: The layer that is built, with an attribute `axis`.
        input_shape: Shape of its inputs with the batch, such as `(batch, time, features)`.

    Raises:
        ValueError: If an axis is none of the inputs', or its size is unknown.
    """
    who = f"{type(layer).__name__} {layer.name!r}"
    rank = len(input_shape)
    for axis in as_axes(layer.axis):
        if not -rank <= axis < rank:
            raise ValueError(
                f"Argument `axis` of {who} must name axes of the inputs, from -{rank} to {rank - 1}. "
                f"Received: axis={layer.axis}, input_shape={tuple(input_shape)}"
            )
        if input_shape[axis] is None:
            raise ValueError(
                f"{who} has weights along axis {axis}, so its size must be known. "
                f"Received: input_shape={tuple(input_shape)}"
            )
