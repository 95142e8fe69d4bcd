"""The parts of Transformers: attention and feed-forward, each beside a shortcut, and where they are normalized."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from keras import layers

from advisor.facts import LINEAR_KINDS, Facts, Kind, LayerFacts
from advisor.graph import Source

_ATTENTION = (layers.MultiHeadAttention, layers.GroupQueryAttention)
_SUMS = frozenset({"Add", "StochasticDepth"})
# What may stand between an attention and the addition that ends its part, or between that and its normalization.
_ON_THE_WAY = frozenset({Kind.DROPOUT, Kind.RESHAPE, Kind.ACTIVATION, Kind.NORM, Kind.OTHER, *LINEAR_KINDS})
_BEHIND = frozenset({Kind.DROPOUT, Kind.RESHAPE, Kind.NORM})
_KEEPS_SCALE = frozenset({Kind.DROPOUT, Kind.RESHAPE, Kind.ACTIVATION})
_NOT_FEED_FORWARD = frozenset({Kind.ATTENTION, Kind.RECURRENT})


@dataclass(frozen=True, eq=False)
class ResidualPart:
    """Layers beside a shortcut, `y = x + f(x)`.

    Attributes:
        shortcut: The leaf that gives `x`.
        is_normalized_before: Whether `x` comes from a normalization, or from the activation or dropout behind one.
        entries: The leaves of `f` that read `x`.
        branch: All leaves of `f`, in topological order.
        addition: The leaf that adds the two.
        after: What alone reads the sum, one behind the other, up to the first normalization; empty where several
            leaves read the sum, as in a network of blocks normalized inside.
    """

    shortcut: LayerFacts
    is_normalized_before: bool
    entries: tuple[LayerFacts, ...]
    branch: tuple[LayerFacts, ...]
    addition: LayerFacts
    after: tuple[LayerFacts, ...]

    @property
    def norms(self) -> tuple[LayerFacts, ...]:
        """The normalizations of the branch and of the sum."""
        return tuple(layer for layer in (*self.branch, *self.after) if layer.kind is Kind.NORM)

    @property
    def is_post_norm(self) -> bool:
        """Whether the sum is normalized, and nothing else is."""
        return bool(self.norms) and self.norms == self.after[-1:]

    @property
    def is_normalized_inside(self) -> bool:
        """Whether the branch is normalized, or may be: what a layer of the user's own does is not known."""
        return any(layer.kind is Kind.NORM or is_unknown(layer) for layer in self.branch)

    @property
    def is_normalized_behind(self) -> bool:
        """Whether the sum is normalized, or may be, before anything else reads it."""
        return any(layer.kind is Kind.NORM or is_unknown(layer) for layer in self.after)

    @property
    def end(self) -> LayerFacts:
        """The last leaf of the part, whose output the next part reads."""
        return self.after[-1] if self.after else self.addition


@dataclass(frozen=True, eq=False)
class AttentionBlock:
    """An attention and the feed-forward part behind it.

    Attributes:
        attention: The attention.
        part: It and what belongs to it, beside its shortcut; None where it has none.
        feed_forward: The dense layers or convolutions behind it, beside their shortcut; None where there are none, as
            between self and cross attention.
    """

    attention: LayerFacts
    part: ResidualPart | None
    feed_forward: ResidualPart | None

    @property
    def parts(self) -> tuple[ResidualPart, ...]:
        """The residual parts there are."""
        return tuple(part for part in (self.part, self.feed_forward) if part is not None)


def attention_blocks(facts: Facts) -> tuple[AttentionBlock, ...]:
    """The attention blocks of a model, in topological order; one per call of a `MultiHeadAttention` or grouped one.

    Attention inside Python code is among them where the code could be read, so that its calls are known.

    Args:
        facts: What is known of the model.

    Returns:
        The blocks, found in one pass.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> tokens = keras.Input((6, 8), name="tokens")
    >>> normalized = keras.layers.LayerNormalization(name="norm")(tokens)
    >>> attended = keras.layers.MultiHeadAttention(2, 4, name="attention")(normalized, normalized)
    >>> model = keras.Model(tokens, keras.layers.Dropout(0.1)(attended) + tokens)
    >>> (block,) = attention_blocks(gather_facts(read_graph(model)))
    >>> block.part.shortcut.path, [layer.kind.value for layer in block.part.branch]
    ('tokens', ['norm', 'attention', 'dropout'])
    """
    walker = _Walker(facts)
    return tuple(
        walker.block(layer)
        for layer in facts.of_kind(Kind.ATTENTION)
        if issubclass(layer.cls, _ATTENTION) and facts.graph.nodes[layer.path].call is not None
    )


def inside_attention_blocks(facts: Facts) -> frozenset[str]:
    """Paths of all leaves beside the shortcuts of attention blocks, whose normalization is a matter of the block."""
    return frozenset(layer.path for block in attention_blocks(facts) for part in block.parts for layer in part.branch)


def batch_norms_in_attention(facts: Facts) -> tuple[LayerFacts, ...]:
    """The batch normalizations of tokens in attention blocks, every layer once.

    Args:
        facts: What is known of the model.

    Returns:
        Those in the branches and behind the additions; of an attention without a shortcut, the one straight behind it.
    """
    found: set[str] = set()
    for block in attention_blocks(facts):
        norms = [norm for part in block.parts for norm in part.norms] or _behind(facts, block.attention)[-1:]
        found.update(facts.graph.calls_of(norm.path)[0] for norm in norms)
    return tuple(norm for norm in facts.batch_norms() if norm.path in found and len(norm.output_shape) == 3)


class _Walker:
    """Walks from an attention to the ends of its block; no further back than the shortcut stands in the graph."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._position = {path: index for index, path in enumerate(facts.layers)}

    def block(self, attention: LayerFacts) -> AttentionBlock:
        part = self._part_around(attention)
        feed_forward = None if part is None else self._feed_forward_behind(part.end)
        return AttentionBlock(attention, part, feed_forward)

    def _part_around(self, attention: LayerFacts) -> ResidualPart | None:
        end = attention
        while (reader := self._sole_reader(end)) is not None and not _is_sum(self._facts, reader):
            scales = reader.kind is Kind.MERGE and len(self._facts.graph.producers(reader.path)) == 1
            if reader.kind not in _ON_THE_WAY and not scales:
                return None
            end = reader
        if reader is None:
            return None
        for source in self._facts.producers(reader.path):
            if source is end:
                continue
            part = self._part(source, end, reader)
            if part is not None and attention in part.branch:
                return part
        return None

    def _feed_forward_behind(self, start: LayerFacts) -> ResidualPart | None:
        for addition in self._facts.consumers(start.path):
            if not _is_sum(self._facts, addition):
                continue
            for end in self._facts.producers(addition.path):
                part = None if end is start else self._part(start, end, addition)
                if part is None or any(layer.kind in _NOT_FEED_FORWARD for layer in part.branch):
                    continue
                if any(layer.kind in LINEAR_KINDS for layer in part.branch):
                    return part
        return None

    def _part(self, shortcut: LayerFacts, end: LayerFacts, addition: LayerFacts) -> ResidualPart | None:
        """The part between a shortcut and the last leaf of a branch; None where the one does not lead to the other."""
        graph = self._facts.graph
        start = self._position[shortcut.path]
        behind = _reached(end.path, lambda path: (p for p in graph.producers(path) if self._position[p] > start))
        branch = _reached(shortcut.path, lambda path: (c for c in graph.consumers(path) if c in behind))
        if end.path not in branch:
            return None
        entries = (path for path in graph.consumers(shortcut.path) if path in branch)
        return ResidualPart(
            shortcut=shortcut,
            is_normalized_before=self._comes_from_norm(shortcut),
            entries=tuple(self._facts[path] for path in entries),
            branch=tuple(
                self._facts[path] for path in sorted(branch - {shortcut.path}, key=self._position.__getitem__)
            ),
            addition=addition,
            after=_behind(self._facts, addition),
        )

    def _comes_from_norm(self, layer: LayerFacts | None) -> bool:
        while layer is not None and layer.kind in _KEEPS_SCALE:
            layer = self._facts.sole_producer(layer.path)
        return layer is not None and layer.kind is Kind.NORM

    def _sole_reader(self, layer: LayerFacts) -> LayerFacts | None:
        """The one leaf that reads the first output; attention scores may be read by others."""
        source = Source(layer.path, 0)
        readers = [
            reader for reader in self._facts.consumers(layer.path) if source in self._facts.graph.sources(reader.path)
        ]
        return readers[0] if len(readers) == 1 else None


def _behind(facts: Facts, layer: LayerFacts) -> tuple[LayerFacts, ...]:
    """What alone reads a leaf, one behind the other, up to the first normalization."""
    found: list[LayerFacts] = []
    while layer.kind is not Kind.NORM:
        reader = facts.sole_consumer(layer.path)
        if reader is None or not (reader.kind in _BEHIND or is_unknown(reader)):
            break
        found.append(reader)
        layer = reader
    return tuple(found)


def is_unknown(layer: LayerFacts) -> bool:
    """Whether it is a layer of the user's own, which might normalize, or be there to make normalization unnecessary."""
    return layer.kind is Kind.OTHER and issubclass(layer.cls, layers.Layer)


def _is_sum(facts: Facts, layer: LayerFacts) -> bool:
    return layer.kind is Kind.MERGE and layer.cls.__name__ in _SUMS and len(facts.graph.producers(layer.path)) > 1


def _reached(start: str, step: Callable[[str], Iterable[str]]) -> set[str]:
    seen, frontier = {start}, [start]
    while frontier:
        for path in step(frontier.pop()):
            if path not in seen:
                seen.add(path)
                frontier.append(path)
    return seen
