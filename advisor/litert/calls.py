"""Calls of layers while a function is traced: watched, or computed in another way."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

Call = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a layer at inference, as far as other ways to compute it can depend on it.

    Attributes:
        layer: The layer.
        inputs: What it is called on: a tensor, or tensors in a structure.
        mask: The mask it is called with, or None.
    """

    layer: Any
    inputs: Any
    mask: Any = None

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for calls of one layer on tensors of equal shapes and types."""
        return (id(self.layer), _signature(self.inputs), None if self.mask is None else _signature(self.mask))

    def described(self) -> LayerCall:
        """The same call with shapes and types in the place of tensors."""
        return LayerCall(self.layer, keras.tree.map_structure(_spec, self.inputs), _spec_or_none(self.mask))


def _spec(tensor: Any) -> keras.KerasTensor:
    return keras.KerasTensor(tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))


def _spec_or_none(mask: Any) -> Any:
    return None if mask is None else keras.tree.map_structure(_spec, mask)


def _signature(tensors: Any) -> tuple[Any, ...]:
    flat = keras.tree.flatten(tensors)
    return tuple((tuple(t.shape), keras.backend.standardize_dtype(t.dtype)) for t in flat)


def read_call(layer: Any, original: Call, args: Sequence[Any], kwargs: dict[str, Any]) -> LayerCall | None:
    """What a layer is called with, or None where there is more to it than inputs and a mask.

    Args:
        layer: The layer.
        original: Its own `call`.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
    """
    given = dict(inspect.signature(original).bind(*args, **kwargs).arguments)
    if not given:
        return None
    inputs = given.pop(next(iter(given)))
    masks = keras.tree.flatten(mask := given.pop("mask", None))
    # Keras hands a layer of several inputs a list, of None where an input has no mask.
    if all(one is None for one in masks):
        mask = None
    elif any(one is None for one in masks):
        return None
    # `training` is False or None here; anything else that is given changes what is computed.
    if any(value is not None and value is not False for value in keras.tree.flatten(list(given.values()))):
        return None
    return LayerCall(layer, inputs, mask)


@contextmanager
def calls_replaced(layers: Sequence[Any], make: Callable[[Any, Call], Call]) -> Iterator[None]:
    """Lets layers compute in another way for the time of the block.

    Blocks may be nested: the inner one is given what the outer one put in place.

    Args:
        layers: The layers, or operations of `keras.ops`.
        make: From a layer and its own `call` to the function that is called in its place.
    """
    unique = list({id(layer): layer for layer in layers}.values())
    replaced: list[tuple[Any, Call | None]] = []
    try:
        for layer in unique:
            before = vars(layer).get("call")
            layer.call = make(layer, layer.call)
            replaced.append((layer, before))
        yield
    finally:
        for layer, before in reversed(replaced):
            if before is None:
                # The class's own `call` shows again.
                del layer.call
            else:
                layer.call = before
