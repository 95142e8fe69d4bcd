"""Layers and edits as the Python code a person would write."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from advisor.graph.edits import (
    Configure,
    Edit,
    InsertAfter,
    InsertBefore,
    LayerSpec,
    Remove,
    Replace,
    SetTrainable,
    Wrap,
)
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


def code_of_layer(layer: Any) -> str | None:
    """The code that makes a layer, with its name; None for a hand-written layer that does not tell its arguments.

    Example:
    >>> import keras
    >>> code_of_layer(keras.layers.Dense(4, use_bias=False, name="hidden"))
    "keras.layers.Dense(units=4, use_bias=False, name='hidden')"
    """
    try:
        arguments = plain_arguments(layer)
    except Exception:
        return None
    arguments.pop("name", None)
    return _with_name(LayerSpec(type(layer), arguments).code(), layer.name)


def _with_name(code: str, name: str) -> str:
    return f"{code[:-1]}{'' if code.endswith('()') else ', '}name={name!r})"


@dataclass(frozen=True)
class CodeChange:
    """What an edit changes in the code of a model.

    Attributes:
        before: The code that is there, or None.
        after: The code to write in its place, or None.
        where: Where it goes, in words; empty where it takes the place of `before`.
    """

    before: str | None
    after: str | None
    where: str = ""


def change_in_code(edit: Edit, graph: ModelGraph) -> CodeChange:
    """An edit as a change of the code of the model.

    Args:
        edit: The edit.
        graph: Graph of the model.

    Returns:
        The change; of edits that change no layer, such as one of the loss, what to do in words.

    Example:
    >>> import keras
    >>> from advisor.graph import read_graph
    >>> graph = read_graph(keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="first")]))
    >>> change_in_code(Configure("first", {"use_bias": False}), graph).after
    "keras.layers.Dense(units=4, use_bias=False, name='first')"
    """
    node = graph.nodes[edit.path]
    layer = node.operation
    before = code_of_layer(layer) if node.is_layer else None
    if isinstance(edit, Remove):
        return CodeChange(before or edit.path, None)
    if isinstance(edit, (InsertBefore, InsertAfter)):
        place = "before" if isinstance(edit, InsertBefore) else "after"
        made = [_with_name(spec.code(), spec.config["name"]) if "name" in spec.config else spec.code()
                for spec in edit.specs]  # fmt: skip
        return CodeChange(None, "\n".join(made), f"{place} `{edit.path}`")
    if isinstance(edit, SetTrainable):
        return CodeChange(None, f"{_access(node, graph)}.trainable = {edit.trainable}", "before `compile`")
    after = _replacing_code(edit, layer, before or node.name)
    if after is None or (isinstance(edit, Configure) and not edit.changes):
        return CodeChange(None, None, edit.describe())
    return CodeChange(before, after if isinstance(edit, Wrap) else _with_name(after, layer.name))


def _access(node: Node, graph: ModelGraph) -> str:
    """How code that has the model comes to a layer of it."""
    scope = graph.scopes[node.scope]
    owner = _access(graph.nodes[scope.path], graph) if scope.path else "model"
    attribute = _attribute(scope, node) if scope.kind in ("traced", "opaque") else None
    return f"{owner}.get_layer({node.name!r})" if attribute is None else owner + attribute.removeprefix("self")


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
