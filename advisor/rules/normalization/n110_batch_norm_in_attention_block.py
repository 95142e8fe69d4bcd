"""N110: batch normalization inside an attention block."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, LayerFacts
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.normalization.attention_blocks import batch_norms_in_attention
from advisor.rules.normalization.choice import layer_norm
from advisor.rules.normalization.replacement import replacement
from advisor.rules.registry import rule


def _encoder(norm: type[keras.Layer], *, before: bool, width: int = 8, **arguments: bool) -> keras.Model:
    inputs = x = keras.Input((6, width))
    for _ in range(2):
        y = norm(**arguments)(x) if before else x
        x = layers.Add()([x, layers.Dropout(0.1)(layers.MultiHeadAttention(2, 4)(y, y))])
        y = x = x if before else norm(**arguments)(x)
        y = norm(**arguments)(x) if before else x
        x = x + layers.Dense(width)(layers.Dense(16, activation="gelu")(y))
        x = x if before else norm(**arguments)(x)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def _straight_behind(norm: type[keras.Layer]) -> keras.Model:
    inputs = keras.Input((6, 8))
    attended = layers.Dropout(0.1)(layers.MultiHeadAttention(2, 4)(inputs, inputs))
    return keras.Model(inputs, layers.Dense(2)(norm()(attended)))


def _convolutional_stem() -> keras.Model:
    series = keras.Input((12, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(8, 3)(series)))
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    return keras.Model(series, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def _projected_maps() -> keras.Model:
    maps = keras.Input((4, 4, 8))
    projected = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(maps))
    tokens = layers.Reshape((16, 8))(projected)
    attended = layers.Reshape((4, 4, 8))(layers.MultiHeadAttention(2, 4)(tokens, tokens))
    return keras.Model(maps, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.Add()([maps, attended]))))


@rule
class BatchNormInAttentionBlock(Rule):
    """Batch normalization inside an attention block.

    What it does:
        Finds batch normalization of tokens `(batch, tokens, features)` in an attention block: before or behind the
        attention (`MultiHeadAttention`, `GroupQueryAttention`), in the feed-forward part, or behind one of the
        additions. Normalization of feature maps, as in convolutions that project them to tokens, and of what comes
        before the first block, is left alone.

    Why it matters:
        The statistics of tokens vary more from batch to batch than those of images, with the words in it and the
        padding, and gradients get large where they do. What an attention reads from a token would depend on the other
        samples, and at inference on averages that describe none of them. Layer normalization treats every token on its
        own.

    Example:
        ```python
        x = layers.Add()([x, layers.MultiHeadAttention(8, 64)(x, x)])
        x = layers.BatchNormalization()(x)
        ```

    Fix:
        Puts layer normalization in its place; `gamma` and `beta` are kept, masks pass on. With fewer than 8 features
        there is no fix: leave the normalization out. Safety: retrain.
    """

    code = "N110"
    name = "batch-norm-in-attention-block"
    severity = Severity.WARNING
    references = ("shen-2020", "ba-2016")

    VALID = (
        Case("layer normalization", lambda: _encoder(layers.LayerNormalization, before=True)),
        Case("convolutions before the first block", _convolutional_stem),
        Case("convolutions that project maps to tokens", _projected_maps),
        Case("frozen", lambda: _encoder(layers.BatchNormalization, before=True, trainable=False)),
    )
    INVALID = (
        Case(
            "before each part",
            lambda: _encoder(layers.BatchNormalization, before=True),
            expected=lambda: _encoder(layers.LayerNormalization, before=True),
        ),
        Case(
            "behind each addition",
            lambda: _encoder(layers.BatchNormalization, before=False, scale=False),
            expected=lambda: _encoder(layers.LayerNormalization, before=False, scale=False),
        ),
        Case(
            "behind an attention without a shortcut",
            lambda: _straight_behind(layers.BatchNormalization),
            expected=lambda: _straight_behind(layers.LayerNormalization),
        ),
        Case("4 features", lambda: _encoder(layers.BatchNormalization, before=True, width=4)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for norm in batch_norms_in_attention(facts):
            if norm.trainable:
                yield self._of_the_batch(norm)

    def _of_the_batch(self, norm: LayerFacts) -> Finding:
        choice = layer_norm(norm, "each token is normalized on its own")
        return self.finding(
            norm,
            message=f"`{norm.path}` normalizes the tokens of an attention block by statistics of the batch",
            why="These vary from batch to batch with the other samples in it, and with their padding.",
            fix=replacement(norm, choice),
        )
