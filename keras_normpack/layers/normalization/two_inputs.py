"""What layers that are called on two inputs share."""

from typing import Any

Shape = tuple[int | None, ...]


def two_shapes(layer: Any, input_shape: Any, names: str) -> tuple[Shape, Shape]:
    """Gives the shapes of the two inputs.

    Args:
        layer: The layer that is built.
        input_shape: What Keras passes to `build`.
        names: What the inputs are, such as `"[content, style]"`.

    Returns:
        Both shapes, with the batch.

    Raises:
        ValueError: If it is not a list of two shapes.
    """
    if len(input_shape) != 2 or not all(isinstance(shape, list | tuple) for shape in input_shape):
        raise ValueError(
            f"{type(layer).__name__} {layer.name!r} takes a list of two inputs, `layer({names})`. "
            f"Received: input_shape={input_shape}"
        )
    first, second = input_shape
    return tuple(first), tuple(second)


def first_mask(mask: Any) -> Any:
    """Picks the mask of the first input from what Keras passes as the mask of a list: a list, or `None`."""
    return None if mask is None else mask[0]
