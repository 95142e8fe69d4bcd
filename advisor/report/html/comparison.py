"""A model and its rewrite as one drawing, in which what both have is one box."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from advisor.graph import Configure, Edit, ModelGraph, Node, Remove, Replace, SetTrainable, Substitute, Wrap
from advisor.graph.node_description import NodeDescription, describe_node
from advisor.report.html.model_drawing import INPUT, OUTPUT, Box, Edge, Group, Item, ModelDrawing, Side, Status
from advisor.report.html.ordering import in_order, on_cycles
from advisor.rules import Finding

_MAKES_ANEW = (Configure, Replace, SetTrainable, Substitute, Wrap)


def draw_model(
    before: ModelGraph, after: ModelGraph | None = None, *, findings: Sequence[Finding] = (), edits: Iterable[Edit] = ()
) -> ModelDrawing:
    """Describe a model, and what became of it.

    Args:
        before: Graph of the model.
        after: Graph of its rewrite; None where there is none.
        findings: What was found in it; boxes carry their numbers.
        edits: What the rewrite did.

    Returns:
        The drawing, with a group for every nested model and every layer that holds others.
    """
    graphs = {Side.BEFORE: before} if after is None else {Side.BEFORE: before, Side.AFTER: after}
    return _Comparison(graphs, findings, tuple(edits)).drawing()


class _Comparison:
    def __init__(self, graphs: Mapping[Side, ModelGraph], findings: Sequence[Finding], edits: Sequence[Edit]) -> None:
        self._graphs = graphs
        self._nodes = {side: _by_scope(graph) for side, graph in graphs.items()}
        self._removed = {edit.path for edit in edits if isinstance(edit, Remove)}
        self._made_anew = {edit.path for edit in edits if isinstance(edit, _MAKES_ANEW)}
        self._findings: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for number, finding in enumerate(findings):
            for path in finding.layers:
                self._findings[path].append((number, finding.code))

    def drawing(self) -> ModelDrawing:
        model = self._graphs[Side.BEFORE].model
        items, edges = self._level("", frozenset(self._graphs))
        root = Group("", str(model.name), items, edges, type(model).__name__, frozenset(self._graphs))
        return ModelDrawing(str(model.name), root, tuple(self._graphs), tuple(self._remarks()))

    def _remarks(self) -> Iterable[str]:
        hidden = [scope for scope in self._graphs[Side.BEFORE].scopes.values() if scope.kind == "opaque"]
        if hidden:
            names = ", ".join(f"`{scope.model.name}`" for scope in hidden[:3])
            more = f" and {len(hidden) - 3} more" if len(hidden) > 3 else ""
            yield f"The order of calls inside {names}{more} is not known: its layers are listed."

    def _level(self, scope: str, sides: frozenset[Side]) -> tuple[tuple[Item, ...], tuple[Edge, ...]]:
        nodes = {side: self._nodes[side][scope] if side in sides else {} for side in self._graphs}
        apart = self._apart(nodes)
        keys = {
            side: {path: _apart_key(path, side) if path in apart else path for path in own}
            for side, own in nodes.items()
        }
        edges = [*(_edges(nodes, keys) or _listed(nodes, keys)), *self._ends(scope, nodes, keys)]
        between = [edge for edge in edges if edge.source != INPUT and edge.target != OUTPUT]
        order = in_order(_unique(key for own in keys.values() for key in own.values()), between)
        paths = {key: path for own in keys.values() for path, key in own.items()}
        return tuple(self._item(key, paths[key], nodes, keys) for key in order), tuple(edges)

    def _ends(
        self, scope: str, nodes: Mapping[Side, Mapping[str, Node]], keys: Mapping[Side, Mapping[str, str]]
    ) -> list[Edge]:
        """What reads the inputs of a nested model, and what its outputs are."""
        found: dict[tuple[str, str], set[Side]] = {}
        for side, own in nodes.items():
            if not scope or not own:
                continue
            graph = self._graphs[side]
            for path, node in own.items():
                if any(graph.nodes[source.path].is_input for source in node.sources):
                    found.setdefault((INPUT, keys[side][path]), set()).add(side)
            for source in graph.scopes[scope].outputs:
                if source.path in own:
                    found.setdefault((keys[side][source.path], OUTPUT), set()).add(side)
        return [Edge(source, target, frozenset(sides)) for (source, target), sides in found.items()]

    def _apart(self, nodes: Mapping[Side, Mapping[str, Node]]) -> Collection[str]:
        """Paths of what both models have, but at another place: two boxes."""
        shared = set.intersection(*(set(own) for own in nodes.values())) if len(nodes) > 1 else set()
        moved = shared & self._removed
        same = {side: {path: path for path in own if path not in moved} for side, own in nodes.items()}
        if moved:
            same = {
                side: {path: _apart_key(path, side) if path in moved else path for path in own}
                for side, own in nodes.items()
            }
        crossing = on_cycles(_edges(nodes, same))
        return moved | (crossing & shared)

    def _item(
        self,
        key: str,
        path: str,
        nodes: Mapping[Side, Mapping[str, Node]],
        keys: Mapping[Side, Mapping[str, str]],
    ) -> Item:
        mine = {side: own[path] for side, own in nodes.items() if path in own and keys[side][path] == key}
        box = self._box(key, path, mine)
        inside = frozenset(side for side in mine if path in self._graphs[side].scopes and self._nodes[side][path])
        if not inside:
            return box
        items, edges = self._level(path, inside)
        kind = next(iter(box.faces.values())).kind
        return Group(key, box.name, items, edges, kind, box.sides, own=box)

    def _box(self, key: str, path: str, nodes: Mapping[Side, Node]) -> Box:
        faces = {side: describe_node(node) for side, node in nodes.items()}
        status = self._status(path, faces)
        moved = key != path
        notes = ["moved away" if status is Status.REMOVED else "moved here"] if moved else []
        if any(self._graphs[side].is_shared(path) for side in nodes):
            notes.append("shared")
        if status is Status.CHANGED and _arguments(faces[Side.BEFORE]) == _arguments(faces[Side.AFTER]):
            notes.append("weights only")
        named = () if status is Status.NEW else tuple(self._findings.get(path, ()))
        return Box(key, path, status, faces, named, ", ".join(notes))

    def _status(self, path: str, faces: Mapping[Side, NodeDescription]) -> Status:
        if len(self._graphs) == 1:
            return Status.KEPT
        if Side.AFTER not in faces:
            return Status.REMOVED
        if Side.BEFORE not in faces:
            return Status.NEW
        is_other = _arguments(faces[Side.BEFORE]) != _arguments(faces[Side.AFTER])
        return Status.CHANGED if is_other or path in self._made_anew else Status.KEPT


def _arguments(face: NodeDescription) -> tuple[object, ...]:
    return face.kind, face.arguments, face.trainable, face.dtype, face.code


def _by_scope(graph: ModelGraph) -> Mapping[str, dict[str, Node]]:
    """The nodes of each scope by path; of the inputs of nested models none is a layer anybody wrote."""
    found: defaultdict[str, dict[str, Node]] = defaultdict(dict)
    for path, node in graph.nodes.items():
        if not (node.is_input and node.scope):
            found[node.scope][path] = node
    return found


def _apart_key(path: str, side: Side) -> str:
    return f"{path} ({side})"


def _edges(nodes: Mapping[Side, Mapping[str, Node]], keys: Mapping[Side, Mapping[str, str]]) -> list[Edge]:
    found: dict[tuple[str, str], set[Side]] = {}
    for side, own in nodes.items():
        for path, node in own.items():
            for source in node.sources:
                if source.path in own:
                    found.setdefault((keys[side][source.path], keys[side][path]), set()).add(side)
    return [Edge(source, target, frozenset(sides)) for (source, target), sides in found.items()]


def _listed(nodes: Mapping[Side, Mapping[str, Node]], keys: Mapping[Side, Mapping[str, str]]) -> list[Edge]:
    """Where no call is known: one below the other."""
    found: dict[tuple[str, str], set[Side]] = {}
    for side, own in nodes.items():
        if any(node.call is not None for node in own.values()):
            continue
        column = [keys[side][path] for path in own]
        for pair in pairwise(column):
            found.setdefault(pair, set()).add(side)
    return [Edge(source, target, frozenset(sides), known=False) for (source, target), sides in found.items()]


def _unique(keys: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(keys))
