"""How each part of a model is made anew: from its graph, from its configuration, or as a plain copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from advisor.graph import Edit, ModelGraph, Node, Scope
from advisor.graph.keras_internals import rebuilds_from_graph

Way = Literal["graph", "configuration", "whole"]


class Ways:
    """Decides how each scope of a graph is made anew when edits are applied.

    - `graph`: its layers are made anew and called in the order of the graph.
    - `configuration`: its class makes it from its configuration, in which the layers that it holds are exchanged.
    - `whole`: a plain copy, with all that is in it.

    Args:
        graph: Graph of the model.
        edits: What is to change.
    """

    def __init__(self, graph: ModelGraph, edits: Sequence[Edit]) -> None:
        self._graph = graph
        # For every scope with an edit somewhere inside, the nodes of that scope that the edits lie in.
        self._edited: dict[str, set[str]] = {}
        for edit in edits:
            for scope, child in _ancestry(graph, edit.path):
                self._edited.setdefault(scope.path, set()).add(child)

    def of(self, scope: Scope) -> Way:
        """How the scope is made anew."""
        if scope.kind in ("sequential", "functional") and rebuilds_from_graph(scope.model):
            return "graph"
        if not self.is_edited(scope):
            return "whole" if scope.path else "configuration"
        if scope.refusal is None and not self._edited[scope.path] <= scope.held:
            return "graph"
        return "configuration"

    def is_edited(self, scope: Scope) -> bool:
        """Whether something inside the scope changes."""
        return scope.path in self._edited

    def edited_children(self, scope: Scope) -> list[Node]:
        """The nodes directly inside the scope that change, or in which something does; of a shared layer the first."""
        children = (self._graph.calls_of(path)[0] for path in self._edited.get(scope.path, ()))
        return [self._graph.nodes[path] for path in sorted(set(children))]

    def is_made_by_graph(self, node: Node) -> bool:
        """Whether the node is called anew, rather than copied together with something around it."""
        return all(self.of(scope) == "graph" for scope, _ in _ancestry(self._graph, node.path))

    def is_copied_whole(self, node: Node) -> bool:
        """Whether what the node calls is made anew together with all that is in it."""
        scope = self.inside(node)
        return scope is None or self.of(scope) != "graph"

    def inside(self, node: Node) -> Scope | None:
        """The scope of what the node calls."""
        return self._graph.scopes.get(self._graph.calls_of(node.path)[0])


def _ancestry(graph: ModelGraph, path: str) -> Iterator[tuple[Scope, str]]:
    """The scopes around a node, from the inside out, each with the node in it that the given one lies in."""
    child = path
    while True:
        scope = graph.scopes[graph.nodes[child].scope]
        yield scope, child
        if not scope.path:
            return
        child = scope.path
