"""D204: dropout on logits or probabilities."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Head, Kind, LayerFacts
from advisor.graph import Edit, InsertBefore, Remove
from advisor.rules.base import Case, Rule
from advisor.rules.dropout.places import dropout_before, is_active, moved, rate_of, takes_dropout
from advisor.rules.finding import Confidence, Finding, Fix, Severity
from advisor.rules.heads.outputs import PROBABILITIES, steps_after_linear
from advisor.rules.registry import rule

# Anything else after the linear layer makes features of its values, and features may be dropped.
_KEEPS_PREDICTIONS = frozenset({Kind.DROPOUT, Kind.ACTIVATION, Kind.RESHAPE})


def _classifier(*, before: float | None, after: float | None, softmax: str = "fused") -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, activation="relu"),
            *([layers.Dropout(before)] if before else []),
            layers.Dense(3, activation="softmax" if softmax == "fused" else None),
            *([layers.Dropout(after)] if after else []),
            *([layers.Softmax()] if softmax == "layer" else []),
        ]
    )


def _regression(*after: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6,)), layers.Dense(1), *after])


def _features() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
        ]
    )


@rule
class DropoutAfterHead(Rule):
    """Dropout after the last linear layer falsifies the predictions.

    What it does:
        Finds dropout between the last conv or dense layer and the model's output, before or after the activation.
        A backbone that gives out pooled features is left alone.

    Why it matters:
        Dropout on hidden features is averaged out by the layers that follow. On logits it sets the score of random
        classes to 0 and scales the others by 1/(1 − rate); on probabilities the loss of a right answer becomes that of
        log 0 whenever the right class is hit. The loss then measures the dropout mask.

    Example:
        ```python
        layers.Dense(10), layers.Dropout(0.5), layers.Softmax()
        ```

    Fix:
        Moves the dropout before the last linear layer; where dropout stands there already, or the layer reads the
        model's input itself, it is only removed. Safety: retrain.
    """

    code = "D204"
    name = "dropout-after-head"
    severity = Severity.ERROR
    references = ("srivastava-2014",)
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("dropout before the last linear layer", lambda: _classifier(before=0.5, after=None)),
        Case("pooled features as the output of a backbone", _features),
        Case("a head without dropout", lambda: _classifier(before=None, after=None, softmax="layer")),
        Case("noise on a regression output", lambda: _regression(layers.GaussianNoise(0.1))),
    )
    INVALID = (
        Case(
            "dropout on logits",
            lambda: _classifier(before=None, after=0.5, softmax="layer"),
            expected=lambda: _classifier(before=0.5, after=None, softmax="layer"),
        ),
        Case(
            "dropout on probabilities",
            lambda: _classifier(before=None, after=0.3),
            expected=lambda: _classifier(before=0.3, after=None),
        ),
        Case(
            "dropout before and after the last linear layer",
            lambda: _classifier(before=0.5, after=0.2),
            expected=lambda: _classifier(before=0.5, after=None),
        ),
        Case(
            "a linear model, where only the input could be dropped instead",
            lambda: _regression(layers.Dropout(0.2)),
            expected=lambda: _regression(),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        reported: set[str] = set()
        for head in facts.model.heads:
            dropouts = [layer for layer in _dropouts_after(facts, head) if layer.path not in reported]
            if not dropouts:
                continue
            reported |= {layer.path for layer in dropouts}
            names = ", ".join(f"`{layer.path}` (rate {rate_of(layer):g})" for layer in dropouts)
            yield self.finding(
                *dropouts,
                message=f"{names} after `{head.linear}`, the last linear layer: predictions are dropped, not features",
                why="No layer follows that could average the zeros out, so the loss measures the dropout mask.",
                fix=_fix(facts, head, dropouts),
            )


def _dropouts_after(facts: Facts, head: Head) -> list[LayerFacts]:
    """Active dropouts on the predictions of a head, the one nearest to the linear layer first."""
    steps = steps_after_linear(facts, head)
    if head.linear is None or any(step.kind not in _KEEPS_PREDICTIONS for step in steps):
        return []
    plain_dense = facts[head.linear].kind is Kind.DENSE and head.activation is None
    if head.loss is None and not plain_dense and head.activation not in PROBABILITIES:
        return []
    return [step for step in reversed(steps) if is_active(step)]


def _fix(facts: Facts, head: Head, dropouts: list[LayerFacts]) -> Fix:
    removals: tuple[Edit, ...] = tuple(Remove(layer.path) for layer in dropouts)
    names = ", ".join(f"`{layer.path}`" for layer in dropouts)
    assert head.linear is not None
    producer = facts.sole_producer(head.linear)
    reads_features = producer is not None and producer.kind is not Kind.INPUT
    if not reads_features or dropout_before(facts, head.linear) or not takes_dropout(facts, head):
        return Fix(f"remove {names}", removals, "retrain")
    insertion = InsertBefore(head.linear, (moved(facts, dropouts[0], head.linear),))
    return Fix(f"move {names} before `{head.linear}`", (*removals, insertion), "retrain")
