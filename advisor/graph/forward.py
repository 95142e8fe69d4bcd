"""Running a model node by node, to look at what flows inside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras

from advisor.graph.keras_internals import RecordedCall, attach_mask, keras_mask
from advisor.graph.model_graph import ModelGraph, Node, Scope

Look = Callable[[str, Any], Any]


def _as_array(path: str, tensor: Any) -> Any:
    return keras.ops.convert_to_numpy(tensor)


def forward(graph: ModelGraph, inputs: Any, watch: Iterable[str], look: Look = _as_array) -> dict[str, list[Any]]:
    """Run a model in inference mode and keep what some of its nodes read.

    The model stays as it is: no weight, state, loss or graph node of it changes. Only what the watched nodes depend
    on is computed, and a tensor is let go as soon as nothing needs it.

    Args:
        graph: Graph of a Sequential or Functional model.
        inputs: One batch of arrays in the structure of the model's inputs.
        watch: Paths of the nodes to watch.
        look: Called as `look(path, tensor)` on the first input of a watched node whenever it runs; what it returns is
            kept. Makes a NumPy array by default.

    Returns:
        Per watched path, one entry for every time it ran: once, or more often inside a shared nested model; never
        inside a layer whose calls are not known.

    Raises:
        ValueError: If a path is unknown, the model has no graph, or the number of arrays is not that of the inputs.

    Example:
    >>> import keras, numpy as np
    >>> from advisor.graph import read_graph
    >>> double = keras.layers.Rescaling(2.0, name="double")
    >>> model = keras.Sequential([keras.Input((3,)), double, keras.layers.ReLU(name="relu")])
    >>> forward(read_graph(model), np.ones((1, 3)), ["relu"])["relu"][0].tolist()
    [[2.0, 2.0, 2.0]]
    """
    return _run(graph, inputs, list(watch), look, _InputRun)


def forward_outputs(
    graph: ModelGraph, inputs: Any, watch: Iterable[str], look: Look = _as_array
) -> dict[str, list[Any]]:
    """As `forward`, but looks at the first output of each watched node.

    Args:
        graph: As in `forward`.
        inputs: As in `forward`.
        watch: As in `forward`.
        look: Called as `look(path, tensor)` on the first output of a watched node whenever it ran.

    Returns:
        As `forward`.

    Raises:
        ValueError: As `forward`.

    Example:
    >>> import keras, numpy as np
    >>> from advisor.graph import read_graph
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Rescaling(2.0, name="double")])
    >>> forward_outputs(read_graph(model), np.ones((1, 3)), ["double"])["double"][0].tolist()
    [[2.0, 2.0, 2.0]]
    """
    return _run(graph, inputs, list(watch), look, _OutputRun)


def _run(graph: ModelGraph, inputs: Any, watched: list[str], look: Look, kind: type[_Run]) -> dict[str, list[Any]]:
    unknown = [path for path in watched if path not in graph.nodes]
    if unknown:
        raise ValueError(f"`watch` must hold paths of the model's graph. Received: {unknown}")
    if graph.root.kind == "opaque":
        raise ValueError(f"`{graph.model.name}` cannot be run node by node. Received: {graph.root.refusal}")
    arrays = keras.tree.flatten(inputs)
    if len(arrays) != len(graph.inputs):
        raise ValueError(f"The model has {len(graph.inputs)} inputs. Received: {len(arrays)} arrays")
    tensors = [keras.ops.convert_to_tensor(array) for array in arrays]
    run = kind(graph, {path: [] for path in watched}, look)
    # States that layers would update and losses they would add go to the scope and vanish with it.
    with keras.StatelessScope():
        run.scope(graph.root, tensors, wants_outputs=False)
    return run.seen


class _Run:
    """One pass over the graph."""

    def __init__(self, graph: ModelGraph, seen: dict[str, list[Any]], look: Look) -> None:
        self.graph = graph
        self.seen = seen
        self.look = look
        self._nodes_of: dict[str, list[Node]] = {}
        for node in graph.nodes.values():
            self._nodes_of.setdefault(node.scope, []).append(node)
        self._watched_scopes = {scope for path in seen for scope in self._scopes_around(path)}

    def scope(self, scope: Scope, inputs: Sequence[Any], *, wants_outputs: bool) -> list[Any]:
        """Run one scope on its flat inputs; its flat outputs, if wanted."""
        produced = {source: self._symbol(source.path, source.index) for source in scope.outputs}
        kept = list(produced.values()) if wants_outputs else []
        nodes = self._needed(scope, kept)
        uses = Counter(symbol for node in nodes for symbol in _symbols(node.call))
        uses.update(kept)
        values: dict[int, Any] = {}
        for path, tensor in zip(scope.inputs, inputs, strict=True):
            values[self._symbol(path, 0)] = _as_declared(tensor, self.graph.nodes[path])
        for node in nodes:
            self._before(node, values)
            symbols = [id(tensor) for tensor in node.call.outputs] if node.call else []
            if any(uses[symbol] for symbol in symbols) or self._must_run(node):
                outputs = self._call(node, values)
                self._after(node, outputs)
                values.update(zip(symbols, outputs, strict=True))
            uses.subtract(_symbols(node.call))
            for symbol in [symbol for symbol in values if uses[symbol] <= 0]:
                del values[symbol]
        return [values[produced[source]] for source in scope.outputs] if wants_outputs else []

    def _needed(self, scope: Scope, kept: Sequence[int]) -> list[Node]:
        """The scope's nodes on which the kept tensors or something watched depends, in order."""
        wanted = set(kept)
        needed = []
        for node in reversed(self._nodes_of[scope.path]):
            outputs = {id(tensor) for tensor in node.call.outputs} if node.call else set()
            if node.is_input or not (outputs & wanted or self._is_watched(node)):
                continue
            needed.append(node)
            wanted.update(_symbols(node.call))
        return needed[::-1]

    def _is_watched(self, node: Node) -> bool:
        return node.path in self.seen or self._inner_scope(node) in self._watched_scopes

    def _must_run(self, node: Node) -> bool:
        """Whether a node runs though nothing reads what it puts out."""
        return self._inner_scope(node) in self._watched_scopes

    def _before(self, node: Node, values: dict[int, Any]) -> None:
        """Looks at a node before it runs, with all tensors at hand."""

    def _after(self, node: Node, outputs: list[Any]) -> None:
        """Looks at what a node put out."""

    def _call(self, node: Node, values: dict[int, Any]) -> list[Any]:
        call = node.call
        assert call is not None  # only nodes of readable scopes run
        args, kwargs = keras.tree.map_structure(
            lambda leaf: values[id(leaf)] if isinstance(leaf, keras.KerasTensor) else leaf, (call.args, call.kwargs)
        )
        inner = self._inner_scope(node)
        if inner in self._watched_scopes:
            return self._call_nested(node, self.graph.scopes[inner], values, kwargs.get("mask"))
        if node.is_layer:
            kwargs["training"] = False
        return keras.tree.flatten(call.operation(*args, **kwargs))

    def _call_nested(self, node: Node, inner: Scope, values: dict[int, Any], mask: Any) -> list[Any]:
        inputs = [values[self._symbol(source.path, source.index)] for source in node.sources]
        for tensor, given in zip(inputs, keras.tree.flatten(mask), strict=False):
            if given is not None:
                attach_mask(tensor, given)
        return self.scope(inner, inputs, wants_outputs=True)

    def _inner_scope(self, node: Node) -> str | None:
        """Path of the scope of the nested model that the node calls."""
        return self.graph.calls_of(node.path)[0] if node.is_model else None

    def _scopes_around(self, path: str) -> list[str]:
        scopes = []
        scope = self.graph.nodes[path].scope
        while scope:
            scopes.append(scope)
            scope = self.graph.nodes[scope].scope
        return scopes

    def _symbol(self, path: str, index: int) -> int:
        call = self.graph.nodes[path].call
        assert call is not None
        return id(call.outputs[index])


class _InputRun(_Run):
    """One that looks at what the watched nodes read."""

    def _before(self, node: Node, values: dict[int, Any]) -> None:
        if node.path in self.seen:
            source = node.sources[0]
            tensor = values[self._symbol(source.path, source.index)]
            self.seen[node.path].append(self.look(node.path, tensor))


class _OutputRun(_Run):
    """One that looks at what the watched nodes put out."""

    def _must_run(self, node: Node) -> bool:
        return node.path in self.seen or super()._must_run(node)

    def _after(self, node: Node, outputs: list[Any]) -> None:
        if node.path in self.seen:
            self.seen[node.path].append(self.look(node.path, outputs[0]))


def _symbols(call: RecordedCall | None) -> list[int]:
    return [id(tensor) for tensor in call.inputs] if call else []


def _as_declared(tensor: Any, node: Node) -> Any:
    """The tensor in the dtype of the `Input` it stands for, its mask kept."""
    mask = keras_mask(tensor)
    converted = keras.ops.cast(tensor, node.operation.dtype)
    if mask is not None:
        attach_mask(converted, mask)
    return converted
