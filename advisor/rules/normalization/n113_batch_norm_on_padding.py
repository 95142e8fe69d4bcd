"""N113: batch normalization on padded sequences that no mask reaches."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, LayerFacts, Measurement
from advisor.facts.padding import padding_share
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.normalization.attention_blocks import batch_norms_in_attention
from advisor.rules.normalization.choice import layer_norm
from advisor.rules.normalization.replacement import replacement
from advisor.rules.normalization.surroundings import on_recurrent_sequence, on_unmasked_padding
from advisor.rules.registry import rule

# Below this share of padded steps the statistics are those of the sequences.
NEGLIGIBLE = 0.02


def _text(norm: keras.Layer, *, mask_zero: bool = True, between: str = "conv", units: int = 8) -> keras.Model:
    words = keras.Input((6,), dtype="int32")
    features = layers.Embedding(20, units, mask_zero=mask_zero)(words)
    features = (layers.Conv1D(units, 3) if between == "conv" else layers.Dense(units))(features)
    pooled = layers.GlobalMaxPooling1D()(layers.ReLU()(norm(features)))
    return keras.Model(words, layers.Dense(2)(pooled))


def _mask_handed_on() -> keras.Model:
    words = keras.Input((6,), dtype="int32")
    embedding = layers.Embedding(20, 8, mask_zero=True)
    features = layers.Conv1D(8, 3, padding="same")(embedding(words))
    features = layers.BatchNormalization()(features, mask=embedding.compute_mask(words))
    return keras.Model(words, layers.Dense(2)(layers.GlobalMaxPooling1D()(features)))


def _pooled_first() -> keras.Model:
    words = keras.Input((6,), dtype="int32")
    pooled = layers.GlobalAveragePooling1D()(layers.Embedding(20, 8, mask_zero=True)(words))
    return keras.Model(words, layers.Dense(2)(layers.BatchNormalization()(layers.Dense(8)(pooled))))


def _series(norm: keras.Layer) -> keras.Model:
    steps = [keras.Input((8, 3)), layers.Masking(), layers.Reshape((8, 3, 1)), layers.Conv2D(8, 3), norm]
    return keras.Sequential([*steps, layers.ReLU(), layers.GlobalAveragePooling2D(), layers.Dense(2)])


@rule
class BatchNormOnPadding(Rule):
    """Batch normalization on padded sequences that no mask reaches.

    What it does:
        Follows padded sequences from where their mask begins, `Embedding(mask_zero=True)` or `Masking`, past the layer
        that loses the mask, such as a convolution, a reshape or an operation of `keras.ops`, to batch normalization.
        Where data is given, the share of padding in it is measured; below 2 % it is reported without a fix. On the
        sequences of recurrent layers N107 speaks, in attention blocks N110.

    Why it matters:
        Padded steps count in mean and variance like words. They all say the same, so the variance is too small and the
        mean leans towards the padding, by as much as the batch happens to be padded; at inference, with other lengths,
        the averages do not fit. With a mask Keras leaves padding out, but a convolution does not hand the mask on.

    Example:
        ```python
        x = layers.Embedding(20_000, 128, mask_zero=True)(words)
        x = layers.BatchNormalization()(layers.Conv1D(128, 5)(x))  # "this layer does not support masking"
        ```

    Fix:
        Puts layer normalization in its place, which normalizes every step by itself; `gamma` and `beta` are kept. With
        fewer than 8 features there is no fix. To keep batch normalization, hand it the mask where the number of steps
        is the same: `norm(x, mask=embedding.compute_mask(words))`. Safety: retrain.
    """

    code = "N113"
    name = "batch-norm-on-padding"
    severity = Severity.WARNING
    references = ("keras-18759", "ba-2016")

    VALID = (
        Case("the mask reaches it", lambda: _text(layers.BatchNormalization(), between="dense")),
        Case("the mask is handed to it", _mask_handed_on),
        Case("no padding is declared", lambda: _text(layers.BatchNormalization(), mask_zero=False)),
        Case("behind the pooling, which heeds the mask", _pooled_first),
        Case("layer normalization", lambda: _text(layers.LayerNormalization())),
        Case("frozen", lambda: _text(layers.BatchNormalization(trainable=False))),
    )
    INVALID = (
        Case(
            "a convolution that loses the mask",
            lambda: _text(layers.BatchNormalization(scale=False)),
            expected=lambda: _text(layers.LayerNormalization(scale=False)),
        ),
        Case(
            "a masked series, reshaped",
            lambda: _series(layers.BatchNormalization()),
            expected=lambda: _series(layers.LayerNormalization()),
        ),
        Case(
            "words of which a third is padding",
            lambda: _text(layers.BatchNormalization()),
            {"data": lambda: np.array(16 * [[3, 4, 5, 6, 0, 0]])},
            lambda: _text(layers.LayerNormalization()),
        ),
        Case(
            "words without padding",
            lambda: _text(layers.BatchNormalization()),
            {"data": lambda: np.array(16 * [[3, 4, 5, 6, 7, 8]])},
        ),
        Case("4 features", lambda: _text(layers.BatchNormalization(), units=4)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        in_attention = set(batch_norms_in_attention(facts))
        padded = [
            norm
            for norm in facts.batch_norms()
            if norm.trainable
            and norm not in in_attention
            and on_unmasked_padding(facts, norm)
            and not on_recurrent_sequence(facts, norm)
        ]
        measured = _measured_padding(facts) if padded else None
        for norm in padded:
            if measured is None or measured.value >= NEGLIGIBLE:
                yield self._polluted(norm, measured)
            else:
                yield self._unpadded(norm, measured)

    def _polluted(self, norm: LayerFacts, measured: Measurement | None) -> Finding:
        share = "" if measured is None else f", {measured.value:.0%} of the steps on this data"
        choice = layer_norm(norm, "each step is normalized on its own, and padding does not count")
        return self.finding(
            norm,
            message=f"padding counts in the statistics of `{norm.path}`{share}: the mask is lost before it",
            why="Mean and variance depend on how much of a batch is padding, and do not describe the sequences.",
            measurements=() if measured is None else (measured,),
            fix=replacement(norm, choice),
        )

    def _unpadded(self, norm: LayerFacts, measured: Measurement) -> Finding:
        return self.finding(
            norm,
            message=(
                f"the mask is lost before `{norm.path}`, but on this data only {measured.value:.1%} of the steps are "
                "padding: it may stay"
            ),
            why="Padding would count in mean and variance.",
            measurements=(measured,),
            severity=Severity.INFO,
        )


def _measured_padding(facts: Facts) -> Measurement | None:
    if facts.data is None:
        return None
    share = padding_share(facts.graph, facts.layers.values(), facts.data)
    if share is None:
        return None
    return Measurement("share of padding", share, "1", samples=facts.data.looked_at, seed=0, threshold=NEGLIGIBLE)
