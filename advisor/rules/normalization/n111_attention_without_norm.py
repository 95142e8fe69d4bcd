"""N111: attention blocks without normalization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
from keras import layers

from advisor.facts import LINEAR_KINDS, Facts, Kind
from advisor.graph import Edit, InsertAfter, InsertBefore
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.normalization.attention_blocks import (
    AttentionBlock,
    ResidualPart,
    attention_blocks,
    is_unknown,
)
from advisor.rules.normalization.choice import layer_norm
from advisor.rules.registry import rule

_WEIGHTED = LINEAR_KINDS | {Kind.ATTENTION, Kind.RECURRENT}


def _norm(x: keras.KerasTensor, normalized: bool) -> keras.KerasTensor:
    return layers.LayerNormalization()(x) if normalized else x


def _encoder(*, before: bool = False, behind: bool = False, last: bool = False, blocks: int = 2) -> keras.Model:
    inputs = x = keras.Input((6, 8))
    for _ in range(blocks):
        y = _norm(x, before)
        x = _norm(layers.Add()([x, layers.Dropout(0.1)(layers.MultiHeadAttention(2, 4)(y, y))]), behind)
        x = _norm(layers.Add()([x, layers.Dense(8)(layers.Dense(16, activation="gelu")(_norm(x, before)))]), behind)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(_norm(x, last))))


def _decoder(*, normalized: bool) -> keras.Model:
    inputs, memory = keras.Input((6, 8)), keras.Input((5, 8))
    x = _norm(inputs, normalized)
    x = inputs + layers.GroupQueryAttention(4, 2, 1)(x, x, use_causal_mask=True)
    x = x + layers.MultiHeadAttention(2, 4)(query=_norm(x, normalized), value=memory)
    return keras.Model([inputs, memory], layers.Dense(2)(_norm(x, normalized)))


def _without_shortcut() -> keras.Model:
    inputs = keras.Input((6, 8))
    return keras.Model(inputs, layers.Dense(2)(layers.MultiHeadAttention(2, 4)(inputs, inputs)))


def _keys_with_positions() -> keras.Model:
    inputs, positions = keras.Input((6, 8)), keras.Input((6, 8))
    keys = inputs + positions
    return keras.Model([inputs, positions], inputs + layers.MultiHeadAttention(2, 4)(keys, inputs, keys))


@rule
class AttentionWithoutNorm(Rule):
    """Attention blocks without any normalization.

    What it does:
        Finds attention (`MultiHeadAttention`, `GroupQueryAttention`) with a shortcut around it, where neither the
        attention nor the feed-forward part behind it is normalized: before, inside, or behind the addition. Blocks with
        layers of your own on the way, which may normalize or scale, are left alone, and so are fewer than 8 features.

    Why it matters:
        Every addition makes the values of the residual stream larger, and the scores of an attention grow with the
        square of what it reads: its softmax saturates, and no gradient gets through. Transformers have one
        normalization per part since the first; before the attention and the dense layers, rather than behind the
        additions, it keeps gradients of one size at any depth, and training needs no warm-up.

    Example:
        ```python
        x = layers.Add()([x, layers.MultiHeadAttention(8, 64)(x, x)])
        x = layers.Add()([x, layers.Dense(512)(layers.Dense(2048, activation="gelu")(x))])
        ```

    Fix:
        Puts layer normalization before each attention and each feed-forward part, beside the shortcut, which stays as
        it is, and one behind the last addition, unless that is an output of the model. Masks pass on. Where an
        attention reads its shortcut in several forms, as with positions added to the keys, there is no fix.
        Safety: retrain.
    """

    code = "N111"
    name = "attention-without-norm"
    severity = Severity.WARNING
    references = ("xiong-2020", "ba-2016")

    VALID = (
        Case("normalized before each part", lambda: _encoder(before=True, last=True)),
        Case("normalized behind each addition", lambda: _encoder(behind=True)),
        Case("no shortcut", _without_shortcut),
    )
    INVALID = (
        Case("no normalization", _encoder, expected=lambda: _encoder(before=True, last=True)),
        Case(
            "none but the last one",
            lambda: _encoder(last=True),
            expected=lambda: _encoder(before=True, last=True),
        ),
        Case(
            "self and cross attention",
            lambda: _decoder(normalized=False),
            expected=lambda: _decoder(normalized=True),
        ),
        Case("positions added to the keys", _keys_with_positions),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        blocks = attention_blocks(facts)
        bare = _bare_parts(blocks)
        found = [
            block for block in blocks if block.parts and bare.issuperset(block.parts) and block.attention.trainable
        ]
        if found:
            yield self._bare(facts, found, _continued(blocks))

    def _bare(self, facts: Facts, blocks: list[AttentionBlock], continued: set[str]) -> Finding:
        parts = [part for block in blocks for part in block.parts]
        edits = [_before(facts, part) for part in parts]
        last = [edit for part in parts for edit in _behind_the_last(facts, part, continued)]
        names = ", ".join(f"`{block.attention.path}`" for block in blocks)
        return self.finding(
            *(block.attention for block in blocks),
            message=f"nothing is normalized around {names}, nor in what follows up to the next attention",
            why="Values grow with every addition, until the softmax of the attention saturates and gradients vanish.",
            fix=Fix(
                f"normalize before {len(parts)} parts of attention blocks" + (", and behind the last" if last else ""),
                (*(edit for group in edits for edit in group), *last),
                "retrain",
            )
            if all(edits)
            else None,
        )


def _bare_parts(blocks: Sequence[AttentionBlock]) -> set[ResidualPart]:
    """The parts without normalization, and those behind them that have none but the one at the end of the network."""
    parts = [part for block in blocks for part in block.parts if layer_norm(part.shortcut, "") is not None]
    unnormalized = [part for part in parts if not (part.is_normalized_before or part.is_normalized_inside)]
    bare = {part for part in unnormalized if not part.is_normalized_behind}
    ends = {part.end.path for part in bare}
    continued = _continued(blocks)
    last = {part for part in unnormalized if part.shortcut.path in ends and part.end.path not in continued}
    return bare | last


def _continued(blocks: Sequence[AttentionBlock]) -> set[str]:
    """The leaves at which a part begins."""
    return {part.shortcut.path for block in blocks for part in block.parts}


def _before(facts: Facts, part: ResidualPart) -> tuple[Edit, ...]:
    """What normalizes all that a part reads of its shortcut; nothing where that is not one tensor, read first."""
    choice = layer_norm(part.shortcut, "")
    assert choice is not None
    first = {entry.path: facts.graph.sources(entry.path)[0].path for entry in part.entries}
    if set(first.values()) != {part.shortcut.path} or (len(first) > 1 and _mixes(facts, part)):
        return ()
    return tuple(InsertBefore(path, (choice.spec,)) for path in first)


def _mixes(facts: Facts, part: ResidualPart) -> bool:
    """Whether anything reads the shortcut beside something else, so that only a part of it would be normalized."""
    return any(len(facts.graph.producers(entry.path)) > 1 for entry in part.entries)


def _behind_the_last(facts: Facts, part: ResidualPart, continued: set[str]) -> tuple[Edit, ...]:
    choice = layer_norm(part.addition, "")
    ends = not {part.addition.path, part.end.path} & continued
    if choice is None or not ends or facts.graph.is_output(part.addition.path) or _normalized_later(facts, part):
        return ()
    return (InsertAfter(part.addition.path, (choice.spec,)),)


def _normalized_later(facts: Facts, part: ResidualPart) -> bool:
    """Whether the sum meets a normalization before the next weights, with the first token taken from it, say."""
    reader = facts.sole_consumer(part.addition.path)
    while reader is not None and reader.kind not in _WEIGHTED:
        if reader.kind is Kind.NORM or is_unknown(reader):
            return True
        reader = facts.sole_consumer(reader.path)
    return False
