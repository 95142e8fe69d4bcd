"""Residual blocks: where a branch is added to what it started from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from advisor.facts.facts import Facts
from advisor.facts.kinds import Kind
from advisor.facts.layer_facts import LINEAR_KINDS, LayerFacts

_WEIGHTED = LINEAR_KINDS | {Kind.RECURRENT, Kind.ATTENTION}
# What may stand on a shortcut besides one projection: it changes the size, not the content.
_ON_SHORTCUT = frozenset({Kind.NORM, Kind.POOLING, Kind.RESHAPE})
_LONGEST_SHORTCUT = 4
# Longer branches are no blocks but networks, and looking at them whole would cost the square of their length.
_LARGEST_BRANCH = 256
# By the names of their classes: `keras.ops` operations have no public ones, nor has that of InceptionResNetV2.
_ADDITIONS = frozenset({"Add", "StochasticDepth", "CustomScaleLayer"})


@dataclass(frozen=True, eq=False)
class ResidualBlock:
    """A sum of a shortcut and a branch that both start from the same place.

    Attributes:
        merge: Path of the addition.
        start: Path of the leaf from which shortcut and branch start.
        shortcut: Path of the leaf that the addition reads on the shortcut; `start` itself where nothing is on it.
        end: Path of the leaf that the addition reads on the branch.
        branch: The leaves of the branch, in topological order.
    """

    merge: LayerFacts
    start: str
    shortcut: str
    end: str
    branch: tuple[LayerFacts, ...]


def residual_blocks(facts: Facts) -> Iterator[ResidualBlock]:
    """The residual blocks of a model, in topological order.

    A block is an addition of two tensors (`keras.layers.Add`, `keras.ops.add`, `keras_normpack.StochasticDepth`). One
    of them, the shortcut, is the start of the block itself, or that through one pointwise convolution or dense layer
    at most, with normalization, pooling or padding. The other, the branch, holds more layers with weights than that.
    What a branch reads from elsewhere, as cross-attention reads an encoder, does not belong to it.

    Args:
        facts: What is known of the model.

    Yields:
        The blocks; each addition gives at most one.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> inputs = keras.Input((8,), name="inputs")
    >>> outputs = keras.layers.Add(name="sum")([inputs, keras.layers.Dense(8, name="branch")(inputs)])
    >>> (block,) = residual_blocks(gather_facts(read_graph(keras.Model(inputs, outputs))))
    >>> block.merge.path, block.start, block.end
    ('sum', 'inputs', 'branch')
    """
    position = {path: index for index, path in enumerate(facts.layers)}
    for merge in facts.layers.values():
        if merge.cls.__name__ not in _ADDITIONS:
            continue
        read = facts.graph.producers(merge.path)
        if len(read) != 2:
            continue
        found = (_block(facts, position, merge, *pair) for pair in (read, read[::-1]))
        # A plain shortcut beats one with a projection, which could be a branch just as well.
        blocks = sorted(filter(None, found), key=lambda block: block.start != block.shortcut)
        if blocks:
            yield blocks[0]


def _block(
    facts: Facts, position: Mapping[str, int], merge: LayerFacts, shortcut: str, end: str
) -> ResidualBlock | None:
    for start, projections in _starts(facts, shortcut):
        branch = _branch(facts, position, start, end)
        if sum(layer.kind in _WEIGHTED for layer in branch) > projections:
            return ResidualBlock(merge, start, shortcut, end, branch)
    return None


def _starts(facts: Facts, shortcut: str) -> Iterator[tuple[str, int]]:
    """Leaves from which the shortcut may come, the nearest first, with the number of projections passed."""
    projections, layer = 0, facts[shortcut]
    for _ in range(_LONGEST_SHORTCUT):
        yield layer.path, projections
        projections += layer.kind in LINEAR_KINDS
        producer = facts.sole_producer(layer.path)
        passes = layer.kind in _ON_SHORTCUT or (layer.is_pointwise and projections == 1)
        if producer is None or not passes:
            return
        layer = producer
    yield layer.path, projections


def _branch(facts: Facts, position: Mapping[str, int], start: str, end: str) -> tuple[LayerFacts, ...]:
    """What lies between `start` and `end`, the latter included; nothing where the one does not lead to the other."""
    before = _walk(end, facts.graph.producers, lambda path: position[path] > position[start])
    if before is None or not any(start in facts.graph.producers(path) for path in before):
        return ()
    # Of these, only what depends on the start belongs to the branch.
    members, depends = [], {start}
    for path in sorted(before, key=position.__getitem__):
        if depends.intersection(facts.graph.producers(path)):
            depends.add(path)
            members.append(facts[path])
    return tuple(members) if end in depends else ()


def _walk(first: str, step: Callable[[str], tuple[str, ...]], belongs: Callable[[str], bool]) -> set[str] | None:
    """All that is reached from a leaf within what belongs, itself included; None where that is too much."""
    seen = {first} if belongs(first) else set()
    frontier = deque(seen)
    while frontier:
        for path in step(frontier.popleft()):
            if path not in seen and belongs(path):
                seen.add(path)
                frontier.append(path)
        if len(seen) > _LARGEST_BRANCH:
            return None
    return seen
