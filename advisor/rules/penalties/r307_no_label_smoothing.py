"""R307: many classes, and labels that demand certainty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, Head
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.exposure import is_too_short_to_overfit
from advisor.rules.finding import Finding, PlanChange, Severity
from advisor.rules.inputs.scaling import off_scale
from advisor.rules.registry import rule

MANY_CLASSES = 10
SMOOTHING = 0.1

_LOSSES = frozenset({"CategoricalCrossentropy", "SparseCategoricalCrossentropy"})


def _model(units: int = 10, loss: Any = "sparse_categorical_crossentropy", steps: int | None = None) -> keras.Model:
    shape = (6,) if steps is None else (steps, 6)
    model = keras.Sequential([keras.Input(shape), layers.Dense(units, activation="softmax")])
    model.compile("adam", loss)
    return model


def _run(classes: int, *, scale: float = 1.0, steps: int | None = None, one_hot: bool = False) -> dict[str, Any]:
    def data() -> tuple[np.ndarray, np.ndarray]:
        shape = (2 * classes,) if steps is None else (2 * classes, steps)
        x = scale * np.random.default_rng(0).uniform(size=(*shape, 6))
        labels = np.broadcast_to(np.arange(2 * classes).reshape(-1, *[1] * (len(shape) - 1)) % classes, shape)
        return x, np.eye(classes)[labels] if one_hot else labels

    return {"data": data, "batch_size": 10}


@rule
class NoLabelSmoothing(Rule):
    """A classifier of many classes is trained to be certain.

    What it does:
        Looks for a head of at least 10 classes, one per sample, whose categorical crossentropy has no label smoothing,
        in a run of at least 20 epochs or of unknown length, on inputs that are on a scale to train on (H606).

    Why it matters:
        Without smoothing, the loss falls as long as the score of the right class grows against the others, so scores
        grow without bound and the network becomes surer than it is right. Smoothing by ε = 0.1 asks for 0.9 and shares
        0.1 among all classes. On ImageNet that lowered the error of Inception-v3 by 0.2 points, top-1 and top-5 alike:
        it is an offer, and it makes the training loss larger, not smaller. Where raw pixels from 0 to 255 make scores
        of tens and hundreds, it does harm: a perceptron on 1,500 images of MNIST falls from 81 to 61 %.

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
    requires = frozenset({Requirement.GRAPH, Requirement.COMPILE, Requirement.DATA})
    references = ("szegedy-2016",)

    VALID = (
        Case("few classes", lambda: _model(3), _run(3)),
        Case(
            "smoothed already",
            lambda: _model(loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.05)),
            _run(10, one_hot=True),
        ),
        Case("a loss of another kind", lambda: _model(loss="mse"), _run(10, one_hot=True)),
        Case("a class for every step of a sequence", lambda: _model(steps=5), _run(10, steps=5)),
        Case("a short run", _model, {**_run(10), "epochs": 5}),
        Case("raw pixels", _model, _run(10, scale=255.0)),
    )
    INVALID = (
        Case("ten classes by number", _model, _run(10)),
        Case(
            "a hundred classes, one-hot",
            lambda: _model(100, keras.losses.CategoricalCrossentropy()),
            {**_run(100, one_hot=True), "epochs": 30},
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        heads = facts.model.heads
        if len(heads) != 1 or not _is_certain(facts, heads[0]) or is_too_short_to_overfit(facts):
            return
        if any(off_scale(facts, position) for position in range(len(facts.graph.inputs))):
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
