"""Which metric tells how good a model is at its task, by its outputs and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

MEAN_ABSOLUTE_ERROR = "mean absolute error"


@dataclass(frozen=True, eq=False)
class SampleMetric:
    """The metric of one output.

    Attributes:
        name: `accuracy`, `binary accuracy`, `pixel accuracy`, `accuracy per position` or `mean absolute error`.
        of_each: Its value for every sample, of shape `(samples,)`, from outputs of shape `(samples, …)`.
    """

    name: str
    of_each: Callable[[np.ndarray], np.ndarray]

    @property
    def counts_right_answers(self) -> bool:
        """Whether it is a share of right answers, from 0 to 1, and no error."""
        return self.name != MEAN_ABSOLUTE_ERROR


def labels_by_output(names: tuple[str, ...], labels: Any) -> dict[str, Any]:
    """Labels by the name of their output; nothing where they do not match the outputs.

    Args:
        names: Names of the outputs, in flat order.
        labels: An array, or arrays in the structure of the outputs or by their names; None has none.

    Returns:
        The labels of those outputs that have any.

    Example:
    >>> labels_by_output(("a", "b"), [None, 1])
    {'b': 1}
    """
    if isinstance(labels, Mapping) and set(labels) <= set(names):
        return {name: label for name, label in labels.items() if label is not None}
    flat = keras.tree.flatten(labels)
    if len(flat) != len(names):
        return {}
    return {name: label for name, label in zip(names, flat, strict=True) if label is not None}


def task_metric(labels: np.ndarray, outputs: np.ndarray) -> SampleMetric | None:
    """The metric that fits labels and outputs; None where they do not fit each other.

    An output of one value for labels of 0 and 1 is taken for a probability where all lie from 0 to 1, with its
    boundary at 0.5, and for a logit with the boundary at 0 otherwise.

    Args:
        labels: Labels, of shape `(samples, …)`.
        outputs: What the model returned for the samples.

    Returns:
        The metric.

    Example:
    >>> metric = task_metric(np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]]))
    >>> metric.name, metric.of_each(np.array([[0.8, 0.2], [0.5, 0.5]])).tolist()
    ('accuracy', [1.0, 0.0])
    """
    if labels.dtype.kind not in "biuf" or len(labels) != len(outputs):
        return None
    if outputs.dtype.kind in "biu":
        same = _reshaped(labels, outputs.shape)
        return None if same is None else SampleMetric(_accuracy_name(outputs.ndim + 1), lambda y: _means(y == same))
    classes = outputs.shape[-1] if outputs.ndim > 1 else 1
    if classes > 1:
        numbers = _class_numbers(labels, outputs)
        if numbers is not None:
            return SampleMetric(_accuracy_name(outputs.ndim), lambda y: _means(y.argmax(-1) == numbers))
    same = _reshaped(labels, outputs.shape)
    if same is None:
        return None
    if np.isin(same, (0, 1)).all():
        boundary = 0.5 if outputs.min() >= 0 and outputs.max() <= 1 else 0.0
        return SampleMetric("binary accuracy", lambda y: _means((y > boundary) == (same > 0)))
    return SampleMetric(MEAN_ABSOLUTE_ERROR, lambda y: _means(np.abs(y - same)))


def _means(values: np.ndarray) -> np.ndarray:
    """The mean of each sample's values."""
    return values.reshape(len(values), -1).mean(axis=1)


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
