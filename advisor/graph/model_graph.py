"""A read-only view of any Keras model as a graph of call events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import keras

from advisor.graph import keras_internals as internals
from advisor.graph.configuration import held_layers
from advisor.graph.cycles import refuse_cycles
from advisor.graph.tracing import Trace, trace_layer, trace_model

ScopeKind = Literal["sequential", "functional", "traced", "opaque"]
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
    """One model of the tree of nested models, or a layer that holds others.

    Attributes:
        path: Empty for the outermost model, else the path of the node that first calls it.
        kind: `sequential`, `functional`, `traced` where Python code makes the calls, as it did on symbolic tensors, or
            `opaque` where the order of calls is not known.
        model: The Keras model or layer.
        inputs: Paths of the input nodes, in the order of the flat inputs.
        outputs: Sources of the flat outputs.
        structure: The symbolic inputs in the structure that the model takes; None where they are not known.
        refusal: Why the calls inside cannot be changed; None where they can.
        held: Paths of the nodes inside that the configuration of the model holds, and that can be changed even so.
    """

    path: str
    kind: ScopeKind
    model: Any
    inputs: tuple[str, ...] = ()
    outputs: tuple[Source, ...] = ()
    structure: Any = None
    refusal: str | None = None
    held: frozenset[str] = frozenset()


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

    def is_first_call(self, path: str) -> bool:
        """Whether no earlier node calls the same layer: of a shared layer, this one stands for all."""
        return self.calls_of(path)[0] == path

    def is_shared(self, path: str) -> bool:
        """Whether the node's layer is called more than once."""
        return len(self.calls_of(path)) > 1

    def refusal(self, path: str) -> str | None:
        """Why the node cannot be rewritten, or None when it can."""
        child, scope = path, self.scopes[self.nodes[path].scope]
        while True:
            if scope.refusal and child not in scope.held:
                return scope.refusal
            if not scope.path:
                return None
            child, scope = scope.path, self.scopes[self.nodes[scope.path].scope]

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

    def is_read_outside(self, path: str) -> bool:
        """Whether the leaf is an output of the model, or Python code reads it whose calls are not known."""
        return self.is_output(path) or path in self._read_by_code

    def sole_consumer(self, path: str) -> str | None:
        """The one leaf that reads this leaf's output, when there is just one and the output is not the model's."""
        consumers = self.consumers(path)
        return consumers[0] if len(consumers) == 1 and not self.is_output(path) else None

    def upstream(self, *paths: str) -> set[str]:
        """All leaves on which a leaf, or any of several, depends, directly or not; without itself where it is one."""
        return self._reach(paths, self.producers)

    def downstream(self, *paths: str) -> set[str]:
        """All leaves that depend on a leaf, or on any of several, directly or not; without itself where it is one."""
        return self._reach(paths, self.consumers)

    def _reach(self, paths: tuple[str, ...], step: Any) -> set[str]:
        seen: set[str] = set()
        frontier = [following for path in paths for following in step(path)]
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

    @cached_property
    def _read_by_code(self) -> frozenset[str]:
        """Leaves behind the outputs of models that are called where nobody can look."""
        called = {scope.path: self._scope_calls(scope.path) for scope in self.scopes.values() if scope.path}
        hidden = [path for path, calls in called.items() if any(call.call is None for call in calls)]
        return frozenset(
            leaf.path for path in hidden for source in self.scopes[path].outputs for leaf in self._resolve(source)
        )

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
            if node.path not in scope.inputs:
                return ()  # a mask that came in with a tensor
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
        model: Sequential, Functional or subclassed `keras.Model`. The calls of a subclassed one are read by running its
            code on symbolic tensors; where it depends on values its layers are listed without connections.

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
        self._paths: dict[int, list[str]] = defaultdict(list)
        self._expanded: set[int] = set()
        self._readable: set[int] = set()
        self._called: set[int] = set()

    def read_scope(self, model: Any, path: str) -> None:
        """Read a model of whose calls nothing is known yet."""
        self._expanded.add(id(model))
        functional = internals.functional_form(model)
        if functional is not None:
            self._read_functional(model, functional, path)
            return
        trace = None if isinstance(model, keras.Sequential) else trace_model(model)
        if trace is not None:
            self._read_traced(model, trace, path, trace.inputs)
        else:
            self._read_opaque(model, path)

    def _read_functional(self, model: Any, functional: Any, path: str) -> None:
        kind: ScopeKind = "sequential" if isinstance(model, keras.Sequential) else "functional"
        # Registered before its nodes, so that scopes stand in order from the outside in.
        self.scopes[path] = Scope(path, kind, model)
        self._readable.add(id(model))
        produced = self._read_calls(internals.recorded_calls(functional), path)
        structure = internals.input_structure(functional)
        outputs = keras.tree.flatten(internals.output_structure(functional))
        self.scopes[path] = Scope(
            path,
            kind,
            model,
            inputs=tuple(produced[id(tensor)].path for tensor in keras.tree.flatten(structure)),
            outputs=tuple(produced[id(tensor)] for tensor in outputs),
            structure=structure,
            refusal=_refusal_of_class(model, nested=bool(path)),
            held=self._held(model, path),
        )

    def _read_traced(self, owner: Any, trace: Trace, path: str, inputs: Iterable[Any]) -> None:
        self._expanded.add(id(owner))
        self.scopes[path] = Scope(path, "traced", owner)
        self._readable.add(id(owner))
        produced = self._read_calls(trace.calls, path)
        self._list_uncalled(owner, path)
        self.scopes[path] = Scope(
            path,
            "traced",
            owner,
            inputs=tuple(produced[id(tensor)].path for tensor in inputs),
            outputs=tuple(produced[id(tensor)] for tensor in trace.outputs),
            structure=trace.structure,
            refusal=_refusal_of_code(owner),
            held=self._held(owner, path),
        )

    def _read_opaque(self, owner: Any, path: str) -> None:
        self._expanded.add(id(owner))
        self.scopes[path] = Scope(path, "opaque", owner)
        self._list_uncalled(owner, path)
        self.scopes[path] = Scope(path, "opaque", owner, refusal=_refusal_of_code(owner), held=self._held(owner, path))

    def _read_calls(self, calls: Iterable[internals.RecordedCall], path: str) -> dict[int, Source]:
        """Add a node per call of one scope; where each symbolic tensor comes from, by `id`."""
        produced: dict[int, Source] = {}
        first_paths: dict[int, str] = {}
        counts: dict[int, int] = defaultdict(int)
        for call in calls:
            key = id(call.operation)
            counts[key] += 1
            if key not in first_paths:
                first_paths[key] = self._free_path(_join(path, call.operation.name))
            node_path = _numbered(first_paths[key], counts[key])
            data, masks = _split_masks(call)
            for index, tensor in enumerate(call.outputs):
                produced[id(tensor)] = Source(node_path, index)
            self._called.add(key)
            # Its place is kept, as the order of the nodes is that of the calls; what is in it is read after it.
            self.nodes[node_path] = node = Node(
                path=node_path,
                scope=path,
                operation=call.operation,
                call=call,
                sources=tuple(produced[id(tensor)] for tensor in data),
                mask_sources=tuple(produced[id(tensor)] for tensor in masks),
                input_shapes=tuple(tuple(tensor.shape) for tensor in data),
                output_shapes=tuple(tuple(tensor.shape) for tensor in call.outputs),
            )
            self._paths[key].append(node_path)
            is_model = key in self._readable if key in self._expanded else self._read_inside(node, data)
            self.nodes[node_path] = replace(node, is_model=is_model)
        return produced

    def _read_inside(self, node: Node, data: list[Any]) -> bool:
        """Read what the operation of a call holds; whether its own calls are known."""
        operation, call = node.operation, node.call
        assert call is not None
        if self._is_nested_model(operation):
            self.read_scope(operation, node.path)
            return True
        if not _hides_layers(operation):
            return False
        trace = trace_layer(operation, call) if _is_code(operation) else None
        if trace is None:
            self._read_opaque(operation, node.path)
            return False
        given = {id(tensor) for tensor in data}
        pairs = zip(call.inputs, trace.inputs, strict=True)
        self._read_traced(operation, trace, node.path, [inner for outer, inner in pairs if id(outer) in given])
        return True

    def _list_uncalled(self, owner: Any, path: str) -> None:
        """List the layers that a layer or model holds and of whose calls nothing is known."""
        for layer in internals.direct_sublayers(owner):
            if id(layer) in self._expanded or id(layer) in self._called:
                continue
            self._called.add(id(layer))
            node_path = self._free_path(_join(path, layer.name))
            self.nodes[node_path] = Node(node_path, path, layer, call=None, is_model=self._is_nested_model(layer))
            self._paths[id(layer)].append(node_path)
            if isinstance(layer, keras.Model):
                self.read_scope(layer, node_path)
            elif _hides_layers(layer):
                self._read_opaque(layer, node_path)

    def _held(self, owner: Any, scope: str) -> frozenset[str]:
        paths = (path for layer in held_layers(owner) for path in self._paths[id(layer)])
        return frozenset(path for path in paths if self.nodes[path].scope == scope)

    def _free_path(self, path: str) -> str:
        candidate, number = path, 1
        while candidate in self.nodes:
            number += 1
            candidate = f"{path}~{number}"
        return candidate

    def _is_nested_model(self, operation: Any) -> bool:
        return isinstance(operation, keras.Model) and internals.functional_form(operation) is not None


def _refusal_of_class(model: Any, *, nested: bool) -> str | None:
    """Why a model with a graph cannot be made from another graph."""
    if internals.rebuilds_from_graph(model):
        return None
    name = type(model).__name__
    if not nested:
        return (
            f"`{model.name}` is a {name}, a class that cannot be made from inputs and outputs; "
            "`keras.Model(model.inputs, model.outputs)` is the same network without the class"
        )
    own = internals.own_behavior(model)
    if own:
        return (
            f"`{model.name}` is a {name}, a class that cannot be made from inputs and outputs, "
            f"and its own `{own[0]}` would be lost without it"
        )
    return None


def _refusal_of_code(owner: Any) -> str:
    return f"the calls inside `{owner.name}` ({type(owner).__name__}) are Python code, not a graph"


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


def _is_code(layer: Any) -> bool:
    """Whether nothing but the layer's code says what it is, as a subclass of another layer is of that layer's kind."""
    plain = (keras.Layer, keras.Model)
    return not any(
        cls in _KEPT_WHOLE
        or (issubclass(cls, keras.Layer) and cls not in plain and cls.__module__.split(".")[0] in _KNOWN_PACKAGES)
        for cls in type(layer).__mro__
    )


_KNOWN_PACKAGES = frozenset({"keras", "keras_normpack"})
_KEPT_WHOLE: set[type] = set()


def keep_whole(layer_class: type) -> None:
    """Take a class and its subclasses for one layer, into whose calls nobody needs to look.

    Args:
        layer_class: A layer whose `call` is Python code.
    """
    _KEPT_WHOLE.add(layer_class)


def _join(scope: str, name: str) -> str:
    return f"{scope}/{name}" if scope else name


def _numbered(name: str, count: int) -> str:
    return name if count == 1 else f"{name}#{count}"


def _unique(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(items))
