"""How good a model is at its task on labelled data, before and after its export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.export.verify import Outputs

Score = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class TaskMetric:
    """A metric of one output.

    Attributes:
        output: Name of the output.
        name: `accuracy`, `binary accuracy`, `pixel accuracy`, `accuracy per position` or `mean absolute error`.
        keras: Its value for the Keras model.
        exported: Its value for the exported model.
        samples: Number of labelled samples.
    """

    output: str
    name: str
    keras: float
    exported: float
    samples: int

    def __str__(self) -> str:
        """Before and after: `accuracy 91.3% in Keras, 91.1% exported`."""
        shown = "{:.3g}" if self.name == MEAN_ABSOLUTE_ERROR else "{:.1%}"
        before, after = shown.format(self.keras), shown.format(self.exported)
        return f"{self.name} of '{self.output}' {before} in Keras, {after} exported ({self.samples} labelled samples)"


MEAN_ABSOLUTE_ERROR = "mean absolute error"


def task_metrics(expected: Outputs, received: Outputs, labels: Any) -> tuple[TaskMetric, ...]:
    """The metric of every output that has labels which fit it.

    An output of one value for labels of 0 and 1 is taken for a probability where all of Keras's lie from 0 to 1, with
    its boundary at 0.5, and for a logit with the boundary at 0 otherwise.

    Args:
        expected: What Keras returned.
        received: What the exported model returned.
        labels: The labels: an array, or arrays in the structure of the outputs or by their names; None has none.

    Returns:
        The metrics, in the order of the outputs.

    Example:
    >>> k = Outputs(("y",), (np.array([[0.9, 0.1], [0.4, 0.6]]),))
    >>> y = Outputs(("y",), (np.array([[0.8, 0.2], [0.5, 0.5]]),))
    >>> print(*task_metrics(k, y, np.array([0, 1])))
    accuracy of 'y' 100.0% in Keras, 50.0% exported (2 labelled samples)
    """
    given = _by_output(expected.names, labels)
    metrics = []
    for name, before, after in zip(expected.names, expected.values, received.values, strict=True):
        scored = None if name not in given else _score(np.asarray(given[name]), before)
        if scored is not None:
            title, score = scored
            metrics.append(TaskMetric(name, title, score(before), score(after), len(before)))
    return tuple(metrics)


def _by_output(names: tuple[str, ...], labels: Any) -> dict[str, Any]:
    if isinstance(labels, Mapping) and set(labels) <= set(names):
        return {name: label for name, label in labels.items() if label is not None}
    flat = keras.tree.flatten(labels)
    if len(flat) != len(names):
        return {}
    return {name: label for name, label in zip(names, flat, strict=True) if label is not None}


def _score(labels: np.ndarray, outputs: np.ndarray) -> tuple[str, Score] | None:
    """The metric's name and how it is computed; None where the labels do not fit the output."""
    if labels.dtype.kind not in "biuf" or len(labels) != len(outputs):
        return None
    if outputs.dtype.kind in "biu":
        same = _reshaped(labels, outputs.shape)
        return None if same is None else (_accuracy_name(outputs.ndim + 1), lambda y: float((y == same).mean()))
    classes = outputs.shape[-1] if outputs.ndim > 1 else 1
    if classes > 1:
        numbers = _class_numbers(labels, outputs)
        if numbers is not None:
            return _accuracy_name(outputs.ndim), lambda y: float((y.argmax(-1) == numbers).mean())
    same = _reshaped(labels, outputs.shape)
    if same is None:
        return None
    if np.isin(same, (0, 1)).all():
        boundary = 0.5 if outputs.min() >= 0 and outputs.max() <= 1 else 0.0
        return "binary accuracy", lambda y: float(((y > boundary) == (same > 0)).mean())
    return MEAN_ABSOLUTE_ERROR, lambda y: float(np.abs(y - same).mean())


def _accuracy_name(rank: int) -> str:
    return {2: "accuracy", 4: "pixel accuracy"}.get(rank, "accuracy per position")


def _class_numbers(labels: np.ndarray, outputs: np.ndarray) -> np.ndarray | None:
    """The right classes, where the labels are class numbers or distributions over classes."""
    if labels.shape == outputs.shape:
        is_distribution = labels.min() >= 0 and np.allclose(labels.sum(-1), 1.0, atol=1e-3)
        return labels.argmax(-1) if is_distribution else None
    numbers = _reshaped(labels, outputs.shape[:-1])
    if numbers is None or (numbers != np.rint(numbers)).any():
        return None
    return numbers if numbers.min() >= 0 and numbers.max() < outputs.shape[-1] else None


def _reshaped(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """The labels in a shape that differs at most by a last axis of size 1; None where it differs by more."""
    if labels.shape == shape:
        return labels
    if labels.shape == (*shape, 1) or (*labels.shape, 1) == shape:
        return labels.reshape(shape)
    return None
