"""Runs of convolutions or dense layers that no normalization interrupts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from keras import layers

from advisor.facts import LINEAR_KINDS, Facts, Kind, LayerFacts
from advisor.rules.normalization.attention_blocks import inside_attention_blocks

CONVOLUTIONS, DENSE_LAYERS = frozenset({Kind.CONV, Kind.DEPTHWISE}), frozenset({Kind.DENSE})

_WEIGHTED = LINEAR_KINDS | {Kind.RECURRENT, Kind.ATTENTION, Kind.EMBEDDING}
_BOUNDED = frozenset({"sigmoid", "hard_sigmoid", "softmax"})


@dataclass(frozen=True, eq=False)
class Run:
    """Linear layers of one family that follow each other without normalization, side branches included.

    Attributes:
        layers: All of them, in topological order.
        length: How many follow one another on the longest path.
        hidden: Those after which another layer with weights comes, so that they are no head.
    """

    layers: tuple[LayerFacts, ...]
    length: int
    hidden: tuple[LayerFacts, ...]


def unnormalized_runs(facts: Facts, family: frozenset[Kind]) -> Iterator[Run]:
    """The runs of a family, in topological order.

    A layer counts as normalized when a normalization comes before the next layer with weights or, as in pre-activation
    networks, after the last one; when its weights are normalized by a wrapper or a class of the user's own; and when it
    normalizes itself by SELU or alpha dropout. Gates, whose bounded outputs multiply others, are passed over, and so is
    what stands beside the shortcuts of attention blocks.

    Args:
        facts: What is known of the model.
        family: `CONVOLUTIONS` or `DENSE_LAYERS`.

    Yields:
        Runs of any length.
    """
    of_attention = inside_attention_blocks(facts)
    ways = _Ways(facts)
    members = {
        layer.path: layer
        for layer in facts.of_kind(*family)
        if layer.path not in of_attention
        and _is_plain(layer)
        and not ways.is_normalized(layer)
        and not ways.is_gate(layer)
    }
    heads = {head.linear for head in facts.model.heads}
    depths = ways.depths(members)
    for run in ways.connected(members):
        yield Run(
            layers=tuple(run),
            length=max(depths[layer.path] for layer in run),
            hidden=tuple(layer for layer in run if layer.path in ways.before_weights and layer.path not in heads),
        )


def _is_plain(layer: LayerFacts) -> bool:
    """Whether its weights are used as they are: no wrapper but `TimeDistributed`, no class of the user's own."""
    return layer.wrapper in (None, layers.TimeDistributed) and layer.is_of_keras


class _Ways:
    """What lies between layers with weights: everything in passes over the graph, each once over every connection."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._graph = facts.graph
        between = [layer for layer in facts.layers.values() if layer.kind not in _WEIGHTED]
        norms = [layer.path for layer in between if _normalizes(layer)]
        self._normalized = self._meeting(norms, self._graph.producers) | self._meeting(norms, self._graph.consumers)
        products = [layer.path for layer in between if _is_product(layer)]
        self._multiplied = self._meeting(products, self._graph.producers)
        bounded = [layer.path for layer in between if layer.activation in _BOUNDED]
        self._bounded = self._meeting(bounded, self._graph.producers)
        weighted = [layer.path for layer in facts.of_kind(*_WEIGHTED)]
        self.before_weights = self._meeting(weighted, self._graph.producers)

    def is_normalized(self, layer: LayerFacts) -> bool:
        return layer.activation == "selu" or layer.path in self._normalized

    def is_gate(self, layer: LayerFacts) -> bool:
        is_bounded = layer.activation in _BOUNDED or layer.path in self._bounded
        return is_bounded and layer.path in self._multiplied

    def depths(self, members: Mapping[str, LayerFacts]) -> dict[str, int]:
        """How many members stand in a row up to each, itself included."""
        row: dict[str, int] = {}
        for path, layer in self._facts.layers.items():
            before = max((row.get(producer, 0) for producer in self._graph.producers(path)), default=0)
            row[path] = before + 1 if path in members else 0 if layer.kind in _WEIGHTED else before
        return {path: row[path] for path in members}

    def connected(self, members: Mapping[str, LayerFacts]) -> Iterator[list[LayerFacts]]:
        """The members in groups within which one leads to another, each in topological order."""
        before_members = self._meeting(members, self._graph.producers)
        # Nothing leads on from other layers with weights, nor from what no member comes after.
        linked = {path for path in before_members if self._facts[path].kind not in _WEIGHTED} | set(members)
        neighbours = {
            path: [other for step in (self._graph.producers, self._graph.consumers) for other in step(path)]
            for path in linked
        }
        group_of: dict[str, int] = {}
        for number, start in enumerate(members):
            frontier = [start]
            while frontier:
                path = frontier.pop()
                if path in linked and path not in group_of:
                    group_of[path] = number
                    frontier.extend(neighbours[path])
        groups: dict[int, list[LayerFacts]] = defaultdict(list)
        for path, layer in members.items():
            groups[group_of[path]].append(layer)
        yield from groups.values()

    def _meeting(self, marked: Iterable[str], back: Callable[[str], tuple[str, ...]]) -> set[str]:
        """Layers from which a way without weights in between leads to a marked one; `back` goes the way backwards."""
        found: set[str] = set()
        frontier = list(marked)
        while frontier:
            for path in back(frontier.pop()):
                if path not in found:
                    found.add(path)
                    if self._facts[path].kind not in _WEIGHTED:
                        frontier.append(path)
        return found


def _normalizes(layer: LayerFacts) -> bool:
    return layer.kind is Kind.NORM or layer.activation == "selu" or issubclass(layer.cls, layers.AlphaDropout)


def _is_product(layer: LayerFacts) -> bool:
    return layer.kind is Kind.MERGE and layer.cls.__name__ == "Multiply"
