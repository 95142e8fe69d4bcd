"""How good a model is at its task on labelled data, before and after its export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from advisor.export.verify import Outputs
from advisor.training.task_metric import MEAN_ABSOLUTE_ERROR, labels_by_output, task_metric


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
    given = labels_by_output(expected.names, labels)
    metrics = []
    for name, before, after in zip(expected.names, expected.values, received.values, strict=True):
        fitting = None if name not in given else task_metric(np.asarray(given[name]), before)
        if fitting is not None:
            of_keras, of_export = (float(fitting.of_each(outputs).mean()) for outputs in (before, after))
            metrics.append(TaskMetric(name, fitting.name, of_keras, of_export, len(before)))
    return tuple(metrics)
