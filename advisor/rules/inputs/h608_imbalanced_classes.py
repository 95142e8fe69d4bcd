"""H608: classes of very different size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, Measurement
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Confidence, Finding, Severity
from advisor.rules.registry import rule

STRONG_IMBALANCE = 10.0
"""The largest class to the smallest: an order of magnitude, which is a convention and no measured limit."""

CLASSES_SHOWN = 10


def _model(units: int = 2, activation: str = "softmax") -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(units, activation=activation)])
    model.compile("sgd", "sparse_categorical_crossentropy" if units > 1 else "binary_crossentropy")
    return model


def _of(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).normal(size=(len(labels), 4)), labels


@rule
class ImbalancedClasses(Rule):
    """Some classes have far fewer samples than others.

    What it does:
        Counts the samples of each class, where all labels could be seen. Speaks when the largest class has at least 10
        times as many as the smallest, or a class has none.

    Why it matters:
        Each sample pulls equally, so a rare class hardly counts in the loss: always answering with the frequent class
        is nearly as good, and the accuracy hides it. In convolutional networks the harm grows with the imbalance and
        with the difficulty of the task; oversampling the rare classes undid most of it and did not cause overfitting.

    Example:
        ```python
        model.fit(x, y)  # 990 samples of class 0, 10 of class 1
        ```

    Fix:
        No change to the model. Pass the printed `class_weight` to `fit`, or draw rare classes more often
        (`tf.data.Dataset.rejection_resample`, `sample_from_datasets`), and watch a metric that counts classes equally,
        such as `keras.metrics.F1Score(average="macro")`. Weights bend the predicted probabilities, too: leave them out
        where these are to be right as frequencies.
    """

    code = "H608"
    name = "imbalanced-classes"
    severity = Severity.INFO
    requires = frozenset({Requirement.DATA})
    references = ("buda-2018", "king-2001")
    confidence = Confidence.MEASURED

    VALID = (
        Case("equal classes", _model, {"data": lambda: _of(50, 50)}),
        Case("five to one", _model, {"data": lambda: _of(100, 20)}),
        Case(
            "numbers that are no classes",
            lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]),
            {"data": lambda: _of(100, 2, 30)},
        ),
    )
    INVALID = (
        Case("twenty to one", _model, {"data": lambda: _of(100, 5)}),
        Case("one unit, fifty to one", lambda: _model(1, "sigmoid"), {"data": lambda: _of(100, 2)}),
        Case("a class without samples", lambda: _model(4), {"data": lambda: _of(30, 0, 30, 30)}),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        data = facts.data
        if data is None or data.class_counts is None or not data.complete or facts.model.task == "regression":
            return
        counts = data.class_counts
        present = [count for count in counts if count]
        missing = [index for index, count in enumerate(counts) if not count]
        if len(counts) < 2 or len(present) < 1:
            return
        ratio = max(present) / min(present)
        if ratio < STRONG_IMBALANCE and not missing:
            return
        said = f"the largest class has {max(present):,} samples, the smallest {min(present):,}"
        if missing:
            said += f"; without any sample: {'class' if len(missing) == 1 else 'classes'} {_listed(missing)}"
        yield self.finding(
            message=said,
            why="A rare class hardly counts in the loss, and accuracy hides it. Train with class_weight="
            f"{_weights(counts)}, or draw rare classes more often, and watch a metric that counts classes equally.",
            measurements=(Measurement("largest class to smallest", ratio, "1", data.counted, 0, STRONG_IMBALANCE),),
        )


def _weights(counts: Sequence[int]) -> str:
    """Weights that make all classes count alike, samples / (classes · samples of the class), as Python code."""
    present = sum(count > 0 for count in counts)
    shown = [f"{index}: {sum(counts) / (present * count):.3g}" for index, count in enumerate(counts) if count]
    more = ", …" if len(shown) > CLASSES_SHOWN else ""
    return "{" + ", ".join(shown[:CLASSES_SHOWN]) + more + "}"


def _listed(indices: Sequence[int]) -> str:
    return ", ".join(map(str, indices[:CLASSES_SHOWN])) + (", …" if len(indices) > CLASSES_SHOWN else "")
