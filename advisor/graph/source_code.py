"""Layers and edits as the Python code a person would write."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from advisor.graph.edits import Configure, Edit, InsertAfter, InsertBefore, LayerSpec, Remove, Replace, Wrap
from advisor.graph.model_graph import ModelGraph, Node, Scope

# What a configuration says where the argument was left at its default.
_SAID_DIFFERENTLY = (("activation", "linear"), ("data_format", "channels_last"))


def plain_arguments(layer: Any) -> dict[str, Any]:
    """The arguments of a layer that are plain values and differ from their defaults.

    Args:
        layer: The layer.

    Returns:
        The arguments by name.

    Raises:
        Exception: Whatever the `get_config` of a hand-written layer raises.

    Example:
    >>> import keras
    >>> plain_arguments(keras.layers.Dense(4, use_bias=False))
    {'units': 4, 'use_bias': False}
    """
    defaults = {name: parameter.default for name, parameter in inspect.signature(type(layer)).parameters.items()}
    return {
        name: value
        for name, value in layer.get_config().items()
        if isinstance(value, (bool, int, float, str, tuple, list))
        and name in defaults
        and value != defaults[name]
        and (name, value) not in _SAID_DIFFERENTLY
    }


def by_hand(edits: Iterable[Edit], graph: ModelGraph) -> str:
    """What a person has to do who carries edits out by hand: the code where Python code makes and calls the layer.

    Args:
        edits: The edits.
        graph: Graph of the model.

    Returns:
        One line.

    Example:
    >>> import keras
    >>> from advisor.graph import read_graph
    >>> class Net(keras.Model):
    ...     def __init__(self):
    ...         super().__init__(name="net")
    ...         self.first = keras.layers.Dense(4, name="first")
    ...     def call(self, x):
    ...         return self.first(x)
    >>> net = Net()
    >>> net.build((None, 3))
    >>> print(by_hand([Configure("first", {"use_bias": False})], read_graph(net)))
    in `Net.__init__` write `self.first = keras.layers.Dense(units=4, use_bias=False)`
    """
    # What is made anew from its own arguments only takes over weights, which code does not.
    told = [edit for edit in edits if not (isinstance(edit, Configure) and not edit.changes)] or list(edits)
    return "; ".join(_in_code(edit, graph) or edit.describe() for edit in told)


def _in_code(edit: Edit, graph: ModelGraph) -> str | None:
    node = graph.nodes[edit.path]
    scope = graph.scopes[node.scope]
    if scope.kind not in ("traced", "opaque"):
        return None
    attribute = _attribute(scope, node)
    if attribute is None:
        return None
    owner = type(scope.model).__name__
    if isinstance(edit, Remove):
        return f"in `{owner}.call` leave out `{attribute}`"
    if isinstance(edit, (InsertBefore, InsertAfter)):
        place = "before" if isinstance(edit, InsertBefore) else "after"
        made = ", ".join(f"`{spec.code()}`" for spec in edit.specs)
        return f"in `{owner}.__init__` make {made}, and in `{owner}.call` call it {place} `{attribute}`"
    code = _replacing_code(edit, node.operation, attribute)
    return f"in `{owner}.__init__` write `{attribute} = {code}`" if code else None


def _replacing_code(edit: Edit, layer: Any, attribute: str) -> str | None:
    if isinstance(edit, Replace):
        return edit.spec.code()
    if isinstance(edit, Wrap):
        arguments = "".join(f", {key}={value!r}" for key, value in edit.config.items())
        return f"{edit.wrapper.__name__}({attribute}{arguments})"
    if isinstance(edit, Configure):
        try:
            kept = plain_arguments(layer)
        except Exception:
            return None  # a hand-written layer that does not tell them
        return LayerSpec(type(layer), {**kept, **edit.changes}).code()
    return None


def _attribute(scope: Scope, node: Node) -> str | None:
    """How the code of the scope names a layer: `self.conv`, `self.blocks[0]`."""
    for name, value in vars(scope.model).items():
        if name.startswith("_"):
            continue
        if value is node.operation:
            return f"self.{name}"
        for key, item in _items(value):
            if item is node.operation:
                return f"self.{name}[{key!r}]"
    return None


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    """What a container holds, by index or key."""
    if isinstance(value, (list, tuple)):
        return enumerate(value)
    return value.items() if isinstance(value, dict) else ()
