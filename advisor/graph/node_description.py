"""What a person reads of a node, as plain text and numbers: for those who must not touch Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from advisor.graph.model_graph import Node, Shape
from advisor.graph.source_code import code_of_layer, plain_arguments


@dataclass(frozen=True)
class NodeDescription:
    """A node in words.

    Attributes:
        name: Name of its layer, nested model or operation.
        kind: Name of its class.
        arguments: Plain arguments, besides the name, that differ from their defaults; empty where the layer does not
            tell them.
        values: All plain arguments besides the name, those at their defaults too.
        code: Python source that makes the layer; None for a bare operation and for a layer that does not tell its
            arguments.
        input_shapes: One shape per input.
        output_shapes: One shape per output.
        dtype: What it computes in; None for a bare operation.
        activation: Name of the activation it applies; None without one.
        trainable: Whether it is trained; None where it has no weights.
    """

    name: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    code: str | None = None
    input_shapes: tuple[Shape, ...] = ()
    output_shapes: tuple[Shape, ...] = ()
    dtype: str | None = None
    activation: str | None = None
    trainable: bool | None = None


def describe_node(node: Node) -> NodeDescription:
    """A node in words.

    Args:
        node: The node.

    Returns:
        Its description.

    Example:
    >>> import keras
    >>> from advisor.graph import read_graph
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, use_bias=False, name="head")])
    >>> description = describe_node(read_graph(model).nodes["head"])
    >>> description.code
    "keras.layers.Dense(units=2, use_bias=False, name='head')"
    >>> description.output_shapes
    ((None, 2),)
    """
    operation = node.operation
    kind = type(operation).__name__
    if not node.is_layer:
        return NodeDescription(str(node.name), kind, input_shapes=node.input_shapes, output_shapes=node.output_shapes)
    arguments = _arguments(operation)
    if arguments is not None:
        arguments.pop("name", None)
    return NodeDescription(
        name=str(node.name),
        kind=kind,
        arguments=arguments or {},
        values={} if arguments is None else _values(operation),
        code=None if node.is_input else code_of_layer(operation),
        dtype=operation.compute_dtype,
        activation=_activation(operation),
        trainable=bool(operation.trainable) if _has_weights(operation) else None,
        input_shapes=node.input_shapes,
        output_shapes=node.output_shapes,
    )


def _arguments(layer: Any) -> dict[str, Any] | None:
    try:
        return plain_arguments(layer)
    except Exception:
        return None  # a hand-written layer that does not tell them


def _values(layer: Any) -> dict[str, Any]:
    config = layer.get_config()
    return {name: value for name, value in config.items() if name not in _TOLD_APART and _is_plain(value)}


_TOLD_APART = frozenset({"name", "dtype", "trainable"})


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str, tuple, list))


def _activation(layer: Any) -> str | None:
    activation = getattr(layer, "activation", None)
    return getattr(activation, "__name__", None) or (type(activation).__name__ if activation is not None else None)


def _has_weights(layer: Any) -> bool:
    try:
        return bool(layer.weights)
    except Exception:
        return False  # a hand-written layer whose weights are not there yet
