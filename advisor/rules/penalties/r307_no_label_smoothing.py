"""R307: many classes, and labels that demand certainty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from advisor.facts import Facts, Head
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, PlanChange, Severity
from advisor.rules.registry import rule

MANY_CLASSES = 10
SMOOTHING = 0.1

_LOSSES = frozenset({"CategoricalCrossentropy", "SparseCategoricalCrossentropy"})


def _model(units: int = 10, loss: Any = "sparse_categorical_crossentropy", steps: int | None = None) -> keras.Model:
    shape = (6,) if steps is None else (steps, 6)
    model = keras.Sequential([keras.Input(shape), layers.Dense(units, activation="softmax")])
    model.compile("adam", loss)
    return model


@rule
class NoLabelSmoothing(Rule):
    """A classifier of many classes is trained to be certain.

    What it does:
        Looks for a head of at least 10 classes, one per sample, whose categorical crossentropy has no label smoothing.

    Why it matters:
        Without smoothing, the loss falls as long as the score of the right class grows against the others, so scores
        grow without bound and the network becomes surer than it is right. Smoothing by ε = 0.1 asks for 0.9 and shares
        0.1 among all classes. On ImageNet that lowered the error of Inception-v3 by 0.2 points, top-1 and top-5 alike:
        it is an offer, and it makes the training loss larger, not smaller.

    Example:
        ```python
        model.compile("adam", "sparse_categorical_crossentropy")  # 100 classes
        ```

    Fix:
        No change to the model. The training plan compiles with `label_smoothing=0.1`; for class numbers, whose loss has
        no such argument, it makes the labels one-hot while it trains.
    """

    code = "R307"
    name = "no-label-smoothing"
    severity = Severity.INFO
    requires = frozenset({Requirement.GRAPH, Requirement.COMPILE})
    references = ("szegedy-2016",)

    VALID = (
        Case("few classes", lambda: _model(3)),
        Case(
            "smoothed already",
            lambda: _model(loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.05)),
        ),
        Case("a loss of another kind", lambda: _model(loss="mse")),
        Case("a class for every step of a sequence", lambda: _model(steps=5)),
    )
    INVALID = (
        Case("ten classes by number", _model),
        Case("a hundred classes, one-hot", lambda: _model(100, keras.losses.CategoricalCrossentropy())),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        heads = facts.model.heads
        if len(heads) != 1 or not _is_certain(facts, heads[0]):
            return
        (head,) = heads
        yield self.finding(
            head.path,
            message=f"`{head.path}` tells {head.units} classes apart and its loss asks for certainty",
            why="The loss falls as long as scores grow, so the network becomes surer than it is right; smoothed labels "
            "put an end to that.",
            plan=(PlanChange("label_smoothing", {"label_smoothing": SMOOTHING}, f"smooth the labels by {SMOOTHING}"),),
        )


def _is_certain(facts: Facts, head: Head) -> bool:
    if head.loss is None or head.loss.name not in _LOSSES or not head.loss.configurable or head.loss.label_smoothing:
        return False
    one_class_per_sample = len(facts[head.path].output_shape) == 2
    return one_class_per_sample and head.units is not None and head.units >= MANY_CLASSES
