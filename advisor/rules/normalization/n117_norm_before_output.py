"""N117: a normalization between the last linear layer and the output."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Head, Kind, LayerFacts
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Confidence, Finding, Severity
from advisor.rules.heads.outputs import PROBABILITIES, output_function, steps_after_linear
from advisor.rules.registry import rule

# Anything else, such as pooling or a layer of the user's, makes features of the values.
_KEEPS_PREDICTIONS = frozenset({Kind.NORM, Kind.ACTIVATION, Kind.DROPOUT, Kind.RESHAPE})
_REGRESSION_LOSSES = frozenset(
    [
        "meansquarederror",
        "meanabsoluteerror",
        "meanabsolutepercentageerror",
        "meansquaredlogarithmicerror",
        "huber",
        "logcosh",
        "poisson",
        "mse",
        "mae",
        "mape",
        "msle",
    ]
)
_PREDICTIONS = frozenset({"classification", "regression", "segmentation"})


def _head(*after: keras.Layer, units: int = 1, loss: str | None = None) -> keras.Model:
    inner = [layers.Dense(8, activation="relu"), layers.Dense(units), *after]
    model = keras.Sequential([keras.Input((6,)), *inner])
    if loss is not None:
        model.compile(loss=loss)
    return model


def _transformer() -> keras.Model:
    tokens = keras.Input((6, 8))
    added = layers.Add()([tokens, layers.Dense(8)(layers.Dense(16, activation="gelu")(tokens))])
    model = keras.Model(tokens, layers.Dense(5)(layers.LayerNormalization()(added)))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def _features() -> keras.Model:
    inner = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU(), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((8, 8, 3)), *inner])


@rule
class NormBeforeOutput(Rule):
    """A normalization of the predictions themselves.

    What it does:
        Finds batch, layer, group or RMS normalization after the last conv or dense layer of an output that is known to
        hold predictions: by its loss, its softmax or sigmoid, its single unit, or the task given. Normalization before
        the last layer is right and left alone, and so are frozen layers, scaling to unit length, and models that put
        out features.

    Why it matters:
        Batch normalization gives the predictions of every training batch the same mean and deviation, whatever is in
        the batch, so that the model cannot fit a batch of large targets and one of small ones; at inference it uses
        others. Layer normalization ties the outputs of one sample to each other, and a single output is always `beta`.
        The last layer's own bias and scale do what is needed.

    Example:
        ```python
        model = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(1), layers.BatchNormalization()])
        model.compile(loss="mse")
        ```

    Fix:
        None. Leave the normalization out, or put it before the last layer; scale the targets where they are large.
    """

    code = "N117"
    name = "norm-before-output"
    severity = Severity.WARNING
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("normalization before the last layer", _transformer),
        Case("no normalization", lambda: _head(loss="mse")),
        Case("features as the output of a backbone", _features),
        Case("an embedding of unit length", lambda: _head(layers.UnitNormalization(), units=16, loss="mse")),
        Case("a normalized projection without a loss", lambda: _head(layers.BatchNormalization(), units=16)),
        Case("frozen", lambda: _head(layers.BatchNormalization(trainable=False), loss="mse")),
    )
    INVALID = (
        Case("a regression output", lambda: _head(layers.BatchNormalization(), units=3, loss="mse")),
        Case("a single output", lambda: _head(layers.LayerNormalization())),
        Case("logits", lambda: _head(layers.BatchNormalization(), layers.Softmax(), units=5)),
        Case(
            "a projection of which the task is told",
            lambda: _head(layers.BatchNormalization(), units=16),
            {"task": "regression"},
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for head in facts.model.heads:
            steps = steps_after_linear(facts, head)
            if not _predicts(facts, head) or any(step.kind not in _KEEPS_PREDICTIONS for step in steps):
                continue
            if head.linear is None or facts[head.linear].activation is not None:
                continue
            for step in steps:
                if step.kind is Kind.NORM and step.trainable and step.cls is not layers.UnitNormalization:
                    yield self._normalized(head, step)

    def _normalized(self, head: Head, norm: LayerFacts) -> Finding:
        return self.finding(
            norm,
            message=f"`{norm.path}` ({norm.cls.__name__}) normalizes the predictions that `{head.linear}` computes",
            why=_why(norm),
        )


def _predicts(facts: Facts, head: Head) -> bool:
    """Whether an output is known to hold predictions rather than features."""
    loss = head.loss.name.replace("_", "").lower() if head.loss else ""
    return (
        facts.task in _PREDICTIONS
        or loss in _REGRESSION_LOSSES
        or "crossentropy" in loss
        or output_function(facts, head) in PROBABILITIES
        or head.units == 1
    )


def _why(norm: LayerFacts) -> str:
    if norm.is_batch_norm:
        return "Every training batch gets predictions of the same mean and deviation, whatever its targets are."
    if norm.channels == 1 and norm.positions == 1:
        return "Normalized by itself, a single value says nothing of the input any more."
    return "The outputs of one sample are tied to each other: none can be large unless another is small."
