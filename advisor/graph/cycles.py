"""Models that hold themselves, as a block that keeps a reference to its parent makes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from advisor.graph.keras_internals import direct_sublayers


def refuse_cycles(model: Any) -> None:
    """Raise where a layer holds, through its attributes, itself.

    Keras takes every layer that is an attribute for a part, and walks from part to part without end.

    Args:
        model: Any model or layer.

    Raises:
        ValueError: If there is a cycle; the message names the layers on it.

    Example:
    >>> import keras
    >>> block = keras.layers.Dense(3, name="block")
    >>> block.parent = block
    >>> refuse_cycles(block)
    Traceback (most recent call last):
        ...
    ValueError: `block` holds itself...
    """
    entered: dict[int, Any] = {id(model): model}
    finished: set[int] = set()
    stack: list[tuple[Any, Iterator[Any]]] = [(model, iter(direct_sublayers(model)))]
    while stack:
        layer, parts = stack[-1]
        part = next(parts, None)
        if part is None:
            stack.pop()
            finished.add(id(layer))
            del entered[id(layer)]
        elif id(part) in entered:
            names = [f"`{held.name}`" for held in entered.values()]
            around = names[list(entered).index(id(part)) :]
            way = f" (by way of {' → '.join(around[1:])})" if len(around) > 1 else ""
            raise ValueError(
                f"{around[0]} holds itself{way}, so that Keras cannot list its parts. Keep the reference to a parent "
                "out of the attributes, as with `weakref.ref(parent)` or inside a lambda."
            )
        elif id(part) not in finished:
            entered[id(part)] = part
            stack.append((part, iter(direct_sublayers(part))))
