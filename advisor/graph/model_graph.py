"""A read-only view of any Keras model as a graph of call events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import keras

from advisor.graph import keras_internals as internals
from advisor.graph.cycles import refuse_cycles

ScopeKind = Literal["sequential", "functional", "opaque"]
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Source:
    """One output of a node: the path of the node and which of its outputs."""

    path: str
    index: int = 0


@dataclass(frozen=True, eq=False)
class Node:
    """One call event: a layer, nested model or `keras.ops` operation applied to tensors.

    Attributes:
        path: Unique name, such as `backbone/conv2_1`; a second call of the same layer is `backbone/conv2_1#2`.
        scope: Path of the model that holds the node; the empty string is the outermost model.
        operation: The layer, model or operation called.
        call: The recorded call; None where only the layer is known (inside opaque scopes).
        sources: Where each input tensor comes from, inside the same scope.
        mask_sources: Where each mask comes from that the call was given, by the user or by Keras.
        input_shapes: One shape per source.
        output_shapes: One shape per output.
        is_model: Whether the node is a call of a nested model with a readable graph.
    """

    path: str
    scope: str
    operation: Any
    call: internals.RecordedCall | None
    sources: tuple[Source, ...] = ()
    mask_sources: tuple[Source, ...] = ()
    input_shapes: tuple[Shape, ...] = ()
    output_shapes: tuple[Shape, ...] = ()
    is_model: bool = False

    @property
    def name(self) -> str:
        """The layer's own name, without the scope and the number of the call."""
        return self.operation.name

    @property
    def is_input(self) -> bool:
        """Whether the node is an `Input`."""
        return isinstance(self.operation, keras.layers.InputLayer)

    @property
    def is_layer(self) -> bool:
        """Whether the node is a layer rather than a bare `keras.ops` operation."""
        return isinstance(self.operation, keras.Layer)


@dataclass(frozen=True, eq=False)
class Scope:
    """One model of the tree of nested models, or a layer that hides others (`kind="opaque"`).

    Attributes:
        path: Empty for the outermost model, else the path of the node that first calls it.
        kind: `sequential`, `functional`, or `opaque` where the order of calls is not known.
        model: The Keras model or layer.
        inputs: Paths of the input nodes, in the order of the flat inputs.
        outputs: Sources of the flat outputs.
        refusal: Why nothing inside can be rewritten; None where it can.
    """

    path: str
    kind: ScopeKind
    model: Any
    inputs: tuple[str, ...] = ()
    outputs: tuple[Source, ...] = ()
    refusal: str | None = None


@dataclass(frozen=True, eq=False)
class ModelGraph:
    """All call events of a model, nested models expanded.

    `nodes` keeps an order in which every node stands after the nodes it depends on. `producers` and `consumers` look
    through the borders of nested models: they name only leaves (nodes that are no nested model).

    Args:
        model: The Keras model that was read.
        nodes: Every node by path.
        scopes: Every scope by path, outermost first.

    Example:
    >>> import keras
    >>> hidden, out = keras.layers.Dense(4, name="hidden"), keras.layers.Dense(1, name="out")
    >>> model = keras.Sequential([keras.Input((8,)), hidden, out])
    >>> graph = read_graph(model)
    >>> [node.path for node in graph.leaves() if not node.is_input]
    ['hidden', 'out']
    >>> graph.consumers("hidden")
    ('out',)
    """

    model: Any
    nodes: Mapping[str, Node]
    scopes: Mapping[str, Scope]
    _calls: Mapping[int, tuple[str, ...]] = field(repr=False)

    @property
    def root(self) -> Scope:
        """The outermost scope."""
        return self.scopes[""]

    def leaves(self) -> Iterator[Node]:
        """Nodes that are no nested model, without the inputs of nested models."""
        for node in self.nodes.values():
            if not node.is_model and not (node.is_input and node.scope):
                yield node

    def calls_of(self, path: str) -> tuple[str, ...]:
        """Paths of all calls of the layer that the named node calls, itself included."""
        return self._calls[id(self.nodes[path].operation)]

    def is_shared(self, path: str) -> bool:
        """Whether the node's layer is called more than once."""
        return len(self.calls_of(path)) > 1

    def refusal(self, path: str) -> str | None:
        """Why the node cannot be rewritten, or None when it can."""
        scope: str | None = self.nodes[path].scope
        while scope is not None:
            if self.scopes[scope].refusal:
                return self.scopes[scope].refusal
            scope = self._parent_scope(scope)
        return None

    def sources(self, path: str) -> tuple[Source, ...]:
        """The leaf outputs a leaf reads, in the order of its inputs; several for an input of a shared nested model."""
        return tuple(leaf for source in self.nodes[path].sources for leaf in self._resolve(source))

    def producers(self, path: str) -> tuple[str, ...]:
        """Paths of the leaves whose outputs a leaf reads."""
        return _unique(source.path for source in self.sources(path))

    def consumers(self, path: str) -> tuple[str, ...]:
        """Paths of the leaves that read any output of a leaf."""
        return self._consumers.get(path, ())

    @cached_property
    def outputs(self) -> tuple[Source, ...]:
        """The leaf outputs that are outputs of the outermost model, in flat order."""
        return tuple(leaf for source in self.root.outputs for leaf in self._resolve(source))

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """The input nodes of the outermost model, in flat order."""
        return tuple(self.nodes[path] for path in self.root.inputs)

    def is_output(self, path: str) -> bool:
        """Whether any output of the leaf is an output of the outermost model."""
        return any(source.path == path for source in self.outputs)

    def sole_consumer(self, path: str) -> str | None:
        """The one leaf that reads this leaf's output, when there is just one and the output is not the model's."""
        consumers = self.consumers(path)
        return consumers[0] if len(consumers) == 1 and not self.is_output(path) else None

    def upstream(self, path: str) -> set[str]:
        """All leaves on which a leaf depends, directly or not, without itself."""
        return self._reach(path, self.producers)

    def downstream(self, path: str) -> set[str]:
        """All leaves that depend on a leaf, directly or not, without itself."""
        return self._reach(path, self.consumers)

    def _reach(self, path: str, step: Any) -> set[str]:
        seen: set[str] = set()
        frontier = list(step(path))
        while frontier:
            current = frontier.pop()
            if current not in seen:
                seen.add(current)
                frontier.extend(step(current))
        return seen

    @cached_property
    def _consumers(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = defaultdict(list)
        for node in self.leaves():
            for producer in self.producers(node.path):
                found[producer].append(node.path)
        return {path: tuple(readers) for path, readers in found.items()}

    def _parent_scope(self, scope: str) -> str | None:
        return self.nodes[scope].scope if scope else None

    def _scope_calls(self, scope: str) -> Iterator[Node]:
        for path in self._calls[id(self.scopes[scope].model)]:
            yield self.nodes[path]

    def _resolve(self, source: Source) -> tuple[Source, ...]:
        """The leaf outputs behind a source: into nested models by their outputs, out of them by their inputs."""
        node = self.nodes[source.path]
        if node.is_model:
            inner = self._scope_of(node)
            return self._resolve(inner.outputs[source.index])
        if node.is_input and node.scope:
            scope = self.scopes[node.scope]
            position = scope.inputs.index(node.path)
            # A model that an opaque layer holds reads what Python code gives it: no source is known.
            outer = (call.sources[position] for call in self._scope_calls(node.scope) if call.call is not None)
            return _unique(leaf for origin in outer for leaf in self._resolve(origin))
        return (source,)

    def _scope_of(self, node: Node) -> Scope:
        return self.scopes[self._calls[id(node.operation)][0]]


def read_graph(model: Any) -> ModelGraph:
    """Read a Keras model into a `ModelGraph` without changing it.

    Args:
        model: Sequential, Functional or subclassed `keras.Model`. A model without a functional graph is listed (its
            layers, no connections) and marked as not rewritable.

    Returns:
        The graph.

    Raises:
        TypeError: If `model` is no `keras.Model`.
        ValueError: If a layer of it holds itself.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: {model!r} (of type {type(model).__name__})")
    refuse_cycles(model)
    reader = _Reader()
    reader.read_scope(model, path="")
    calls: dict[int, list[str]] = defaultdict(list)
    for node in reader.nodes.values():
        calls[id(node.operation)].append(node.path)
    return ModelGraph(model, reader.nodes, reader.scopes, {key: tuple(paths) for key, paths in calls.items()})


class _Reader:
    """Collects nodes and scopes while it walks down the nested models."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.scopes: dict[str, Scope] = {}
        self._expanded: set[int] = set()

    def read_scope(self, model: Any, path: str) -> None:
        self._expanded.add(id(model))
        functional = internals.functional_form(model)
        if functional is None:
            self._read_opaque(model, path)
        else:
            self._read_functional(model, functional, path)

    def _read_functional(self, model: Any, functional: Any, path: str) -> None:
        kind: ScopeKind = "sequential" if isinstance(model, keras.Sequential) else "functional"
        refusal = None
        if not internals.rebuilds_from_graph(model):
            refusal = f"`{model.name}` is a {type(model).__name__}, a class that cannot be made from inputs and outputs"
        # Registered before its nodes, so that scopes stand in order from the outside in.
        self.scopes[path] = Scope(path, kind, model)
        produced: dict[int, Source] = {}
        counts: dict[int, int] = defaultdict(int)
        for call in internals.recorded_calls(functional):
            counts[id(call.operation)] += 1
            node_path = _join(path, _numbered(call.operation.name, counts[id(call.operation)]))
            is_model = self._is_nested_model(call.operation)
            data, masks = _split_masks(call)
            for index, tensor in enumerate(call.outputs):
                produced[id(tensor)] = Source(node_path, index)
            self.nodes[node_path] = Node(
                path=node_path,
                scope=path,
                operation=call.operation,
                call=call,
                sources=tuple(produced[id(tensor)] for tensor in data),
                mask_sources=tuple(produced[id(tensor)] for tensor in masks),
                input_shapes=tuple(tuple(tensor.shape) for tensor in data),
                output_shapes=tuple(tuple(tensor.shape) for tensor in call.outputs),
                is_model=is_model,
            )
            if id(call.operation) not in self._expanded:
                if is_model:
                    self.read_scope(call.operation, node_path)
                elif _hides_layers(call.operation):
                    self._read_opaque(call.operation, node_path)
        inputs = keras.tree.flatten(internals.input_structure(functional))
        outputs = keras.tree.flatten(internals.output_structure(functional))
        self.scopes[path] = Scope(
            path,
            kind,
            model,
            inputs=tuple(produced[id(tensor)].path for tensor in inputs),
            outputs=tuple(produced[id(tensor)] for tensor in outputs),
            refusal=refusal,
        )

    def _read_opaque(self, owner: Any, path: str) -> None:
        self._expanded.add(id(owner))
        self.scopes[path] = Scope(
            path,
            "opaque",
            owner,
            refusal=f"the calls inside `{owner.name}` ({type(owner).__name__}) are Python code, not a graph",
        )
        for layer in internals.direct_sublayers(owner):
            if id(layer) in self._expanded:
                continue
            node_path = self._free_path(_join(path, layer.name))
            self.nodes[node_path] = Node(node_path, path, layer, call=None, is_model=self._is_nested_model(layer))
            if isinstance(layer, keras.Model):
                self.read_scope(layer, node_path)
            elif _hides_layers(layer):
                self._read_opaque(layer, node_path)

    def _free_path(self, path: str) -> str:
        candidate, number = path, 1
        while candidate in self.nodes:
            number += 1
            candidate = f"{path}~{number}"
        return candidate

    def _is_nested_model(self, operation: Any) -> bool:
        return isinstance(operation, keras.Model) and internals.functional_form(operation) is not None


def _split_masks(call: internals.RecordedCall) -> tuple[list[Any], list[Any]]:
    """The tensors a call works on, and the masks Keras or the user passed beside them."""
    masks = {key: value for key, value in call.kwargs.items() if key == "mask" or key.endswith("_mask")}
    data = {key: value for key, value in call.kwargs.items() if key not in masks}
    return _tensors((call.args, data)), _tensors(masks)


def _tensors(structure: Any) -> list[Any]:
    return [leaf for leaf in keras.tree.flatten(structure) if isinstance(leaf, keras.KerasTensor)]


def _hides_layers(operation: Any) -> bool:
    """Whether a layer holds others that the graph does not show: a hand-written block, a model inside a wrapper."""
    if not isinstance(operation, keras.Layer):
        return False
    wrapped = internals.wrapped_layers(operation)
    if wrapped:
        return any(isinstance(layer, keras.Model) or _hides_layers(layer) for layer in wrapped)
    if type(operation).__module__.split(".")[0] == "keras":
        return False
    return bool(internals.direct_sublayers(operation))


def _join(scope: str, name: str) -> str:
    return f"{scope}/{name}" if scope else name


def _numbered(name: str, count: int) -> str:
    return name if count == 1 else f"{name}#{count}"


def _unique(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(items))
