"""N111: attention blocks without normalization."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts
from advisor.graph import Edit, InsertAfter, InsertBefore
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.normalization.attention_blocks import AttentionBlock, ResidualPart, attention_blocks
from advisor.rules.normalization.choice import layer_norm
from advisor.rules.registry import rule


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
        attention reads its shortcut in several forms, as with positions added to the keys, there is no fix. Safety:
        retrain.
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
        continued = {part.shortcut.path for block in blocks for part in block.parts}
        bare = [block for block in blocks if block.attention.trainable and _is_bare(block, continued)]
        if bare:
            yield self._bare(facts, bare, continued)

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


def _is_bare(block: AttentionBlock, continued: set[str]) -> bool:
    return bool(block.part) and all(
        not part.is_normalized_before
        and not part.is_normalized_inside
        # What stands behind the last addition normalizes nothing but what reads the result.
        and not (part.is_normalized_behind and part.end.path in continued)
        and layer_norm(part.shortcut, "") is not None
        for part in block.parts
    )


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
    if choice is None or not ends or part.is_normalized_behind or facts.graph.is_output(part.addition.path):
        return ()
    return (InsertAfter(part.addition.path, (choice.spec,)),)
