"""N107: batch normalization on the sequences of recurrent layers."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, LayerFacts
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.normalization.choice import layer_norm
from advisor.rules.normalization.replacement import replacement
from advisor.rules.normalization.surroundings import on_recurrent_sequence
from advisor.rules.registry import rule


def _stack(norm: keras.Layer, units: int = 8) -> keras.Model:
    return keras.Sequential(
        [keras.Input((6, 3)), layers.LSTM(units, return_sequences=True), norm, layers.GRU(4), layers.Dense(2)]
    )


def _words(norm: keras.Layer) -> keras.Model:
    words = keras.Input((6,), dtype="int32")
    features = layers.Dropout(0.1)(norm(layers.Embedding(20, 8, mask_zero=True)(words)))
    return keras.Model(words, layers.Dense(2)(layers.Bidirectional(layers.LSTM(4))(features)))


def _residual(norm: keras.Layer) -> keras.Model:
    inputs = keras.Input((6, 8))
    steps = layers.Add()([inputs, layers.SimpleRNN(8, return_sequences=True)(inputs)])
    return keras.Model(inputs, layers.Dense(2)(norm(layers.Dropout(0.1)(steps))))


def _between(norm: keras.Layer) -> keras.Model:
    inputs = keras.Input((6, 3))
    steps = layers.Dense(8)(layers.GRU(4, return_sequences=True)(inputs))
    return keras.Model(inputs, layers.GRU(4)(layers.Conv1D(4, 3)(norm(steps))))


def _convolutions_first() -> keras.Model:
    return keras.Sequential(
        [keras.Input((8, 3)), layers.Conv1D(8, 3), layers.BatchNormalization(), layers.ReLU(), layers.LSTM(4)]
    )


def _on_data() -> keras.Model:
    return keras.Sequential([keras.Input((8, 8)), layers.BatchNormalization(), layers.LSTM(4)])


def _last_state() -> keras.Model:
    return keras.Sequential([keras.Input((8, 3)), layers.LSTM(8), layers.BatchNormalization(), layers.Dense(2)])


@rule
class BatchNormOnSequence(Rule):
    """Batch normalization on the sequences of recurrent layers.

    What it does:
        Finds batch normalization on a sequence `(batch, time, features)` straight behind a recurrent layer, straight
        before one, or anywhere between two; dropout, activations and additions are looked past. Normalization of the
        data itself, and of convolutions that come before all recurrent layers, is left alone.

    Why it matters:
        The state of a recurrent layer builds up over time, so that early and late steps have statistics of their own.
        Batch normalization mixes all steps of all sequences, padding included, and what it computes for a sequence
        depends on how long the others in the batch are. Layer normalization treats every step of every sequence alike,
        in training and at inference.

    Example:
        ```python
        layers.LSTM(64, return_sequences=True), layers.BatchNormalization(), layers.LSTM(64)
        ```

    Fix:
        Puts layer normalization in its place; `gamma` and `beta` are kept, masks pass on. With fewer than 8 features
        there is no fix: leave the normalization out. Safety: retrain.
    """

    code = "N107"
    name = "batch-norm-on-sequence"
    severity = Severity.WARNING
    references = ("ba-2016",)

    VALID = (
        Case("convolutions before all recurrent layers", _convolutions_first),
        Case("the data, standardized", _on_data),
        Case("the last state, which is no sequence", _last_state),
        Case("layer normalization", lambda: _stack(layers.LayerNormalization())),
        Case("frozen", lambda: _stack(layers.BatchNormalization(trainable=False))),
    )
    INVALID = (
        Case(
            "between recurrent layers",
            lambda: _stack(layers.BatchNormalization(scale=False)),
            expected=lambda: _stack(layers.LayerNormalization(scale=False)),
        ),
        Case(
            "masked words before a recurrent layer",
            lambda: _words(layers.BatchNormalization()),
            expected=lambda: _words(layers.LayerNormalization()),
        ),
        Case(
            "behind a residual recurrent layer",
            lambda: _residual(layers.BatchNormalization()),
            expected=lambda: _residual(layers.LayerNormalization()),
        ),
        Case(
            "with other layers between",
            lambda: _between(layers.BatchNormalization()),
            expected=lambda: _between(layers.LayerNormalization()),
        ),
        Case("4 features", lambda: _stack(layers.BatchNormalization(), units=4)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for norm in facts.batch_norms():
            if on_recurrent_sequence(facts, norm) and norm.trainable:
                yield self._mixed(norm)

    def _mixed(self, norm: LayerFacts) -> Finding:
        steps = "" if norm.output_shape[1] is None else f"{norm.output_shape[1]} "
        choice = layer_norm(norm, "each step of a sequence is normalized on its own")
        return self.finding(
            norm,
            message=f"`{norm.path}` normalizes all {steps}steps of recurrent sequences together",
            why="Steps have statistics of their own; mixed over the batch, they depend on the other sequences in it.",
            fix=replacement(norm, choice),
        )
