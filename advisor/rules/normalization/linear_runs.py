"""Runs of convolutions or dense layers that no normalization interrupts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
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


@dataclass(frozen=True, eq=False)
class _Way:
    """What lies between a linear layer and the nearest layers with weights, on one side of it."""

    passed: tuple[LayerFacts, ...]
    reached: tuple[LayerFacts, ...]


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
    after = {layer.path: _way(facts, layer, facts.graph.consumers) for layer in facts.of_kind(*family)}
    members = [
        layer
        for layer in facts.of_kind(*family)
        if layer.path not in of_attention
        and _is_plain(layer)
        and not _normalizes(layer, after[layer.path])
        and not _normalizes(layer, _way(facts, layer, facts.graph.producers))
        and not _is_gate(layer, after[layer.path])
    ]
    heads = {head.linear for head in facts.model.heads}
    for run in _connected(members, after):
        depths: dict[str, int] = defaultdict(lambda: 1)
        for layer in run:
            for following in after[layer.path].reached:
                depths[following.path] = max(depths[following.path], depths[layer.path] + 1)
        yield Run(
            layers=tuple(run),
            length=max(depths[layer.path] for layer in run),
            hidden=tuple(layer for layer in run if after[layer.path].reached and layer.path not in heads),
        )


def _way(facts: Facts, layer: LayerFacts, step: Callable[[str], tuple[str, ...]]) -> _Way:
    passed: dict[str, LayerFacts] = {}
    reached: dict[str, LayerFacts] = {}
    frontier = list(step(layer.path))
    while frontier:
        path = frontier.pop()
        found = facts[path]
        if path in passed or path in reached:
            continue
        if found.kind in _WEIGHTED:
            reached[path] = found
        else:
            passed[path] = found
            frontier.extend(step(path))
    return _Way(tuple(passed.values()), tuple(reached.values()))


def _is_plain(layer: LayerFacts) -> bool:
    """Whether its weights are used as they are: no wrapper but `TimeDistributed`, no class of the user's own."""
    return layer.wrapper in (None, layers.TimeDistributed) and layer.cls.__module__.split(".")[0] == "keras"


def _normalizes(layer: LayerFacts, way: _Way) -> bool:
    return layer.activation == "selu" or any(
        passed.kind is Kind.NORM or passed.activation == "selu" or issubclass(passed.cls, layers.AlphaDropout)
        for passed in way.passed
    )


def _is_gate(layer: LayerFacts, way: _Way) -> bool:
    activations = {layer.activation, *(passed.activation for passed in way.passed)}
    multiplied = any(passed.kind is Kind.MERGE and passed.cls.__name__ == "Multiply" for passed in way.passed)
    return multiplied and bool(activations & _BOUNDED)


def _connected(members: list[LayerFacts], after: dict[str, _Way]) -> Iterator[list[LayerFacts]]:
    """The members in groups within which one leads to another."""
    group_of = {layer.path: {layer.path} for layer in members}
    for layer in members:
        for following in after[layer.path].reached:
            if following.path in group_of and group_of[following.path] is not group_of[layer.path]:
                merged = group_of[layer.path] | group_of[following.path]
                group_of.update(dict.fromkeys(merged, merged))
    groups: dict[int, list[LayerFacts]] = defaultdict(list)
    for layer in members:
        groups[id(group_of[layer.path])].append(layer)
    yield from groups.values()
