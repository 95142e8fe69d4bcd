"""The loss of a model that was not compiled, inferred from its head and the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from advisor.facts import ArrayFacts, Facts, Head
from advisor.rules.heads.outputs import PROBABILITIES, output_function


@dataclass(frozen=True)
class Objective:
    """What to minimize and what to report.

    Attributes:
        loss: Class name in `keras.losses`.
        from_logits: Argument of the loss; None where it has none.
        metric: `"accuracy"` or `"mean_absolute_error"`.
    """

    loss: str
    from_logits: bool | None
    metric: str

    def compile_arguments(self) -> dict[str, Any]:
        """Fresh `loss` and `metrics` for `compile`.

        Example:
        >>> Objective("MeanSquaredError", None, "mean_absolute_error").compile_arguments()["metrics"]
        ['mean_absolute_error']
        """
        arguments = {} if self.from_logits is None else {"from_logits": self.from_logits}
        metric: Any = self.metric
        if self.loss == "BinaryCrossentropy" and self.from_logits:
            # "accuracy" would compare logits with 0.5.
            metric = keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)
        return {"loss": getattr(keras.losses, self.loss)(**arguments), "metrics": [metric]}


class UnclearObjectiveError(ValueError):
    """The loss cannot be inferred; the message says why and what to do."""


_REGRESSION = Objective("MeanSquaredError", None, "mean_absolute_error")


def infer_objective(facts: Facts) -> Objective:
    """The objective that fits a model's only output and its labels.

    - Softmax or several logits, labels are class numbers: sparse categorical crossentropy.
    - Softmax or several logits, labels are one-hot: categorical crossentropy.
    - Sigmoid over one unit or one logit, labels are 0 and 1: binary crossentropy.
    - Sigmoid over several units, labels are 0 and 1 per unit: binary crossentropy.
    - Anything else, labels are numbers: mean squared error.

    Args:
        facts: Facts of the model and its data.

    Returns:
        The objective.

    Raises:
        UnclearObjectiveError: If there are several outputs, no labels to tell from, or labels that do not fit.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    >>> infer_objective(gather_facts(read_graph(model)))
    Objective(loss='BinaryCrossentropy', from_logits=False, metric='accuracy')
    """
    heads = facts.model.heads
    if len(heads) != 1:
        raise UnclearObjectiveError(f"a loss is inferred for one output only, and the model has {len(heads)}")
    head = heads[0]
    function = output_function(facts, head)
    from_logits = function not in PROBABILITIES
    if function in {"sigmoid", "hard_sigmoid"} and head.units == 1:
        return Objective("BinaryCrossentropy", from_logits, "accuracy")
    target = facts.data.target if facts.data else None
    if target is None:
        raise UnclearObjectiveError("without labels it is not known what the output stands for; give `data` to advise")
    if function in {"sigmoid", "hard_sigmoid"}:
        return _several_labels(facts, head, target)
    classes = facts.data.classes if facts.data and facts.task != "regression" else None
    if function in {"softmax", "log_softmax"} or (function == "linear" and classes is not None):
        return _one_label(facts, head, target, from_logits)
    if classes is not None:
        raise UnclearObjectiveError(f"the labels name {classes} classes, but `{head.path}` gives no scores of classes")
    return _REGRESSION


def _one_label(facts: Facts, head: Head, target: ArrayFacts, from_logits: bool) -> Objective:
    predicted = facts[head.path].output_shape[1:]
    if head.units == 1:
        return Objective("BinaryCrossentropy", from_logits, "accuracy")
    if _same_shape(target.shape, predicted):
        return Objective("CategoricalCrossentropy", from_logits, "accuracy")
    if _same_shape(target.shape, predicted[:-1]) or _same_shape(target.shape, (*predicted[:-1], 1)):
        return Objective("SparseCategoricalCrossentropy", from_logits, "accuracy")
    raise UnclearObjectiveError(f"labels of shape {target.shape} do not fit an output of shape {predicted}")


def _several_labels(facts: Facts, head: Head, target: ArrayFacts) -> Objective:
    predicted = facts[head.path].output_shape[1:]
    if not _same_shape(target.shape, predicted):
        raise UnclearObjectiveError(f"labels of shape {target.shape} do not fit an output of shape {predicted}")
    return Objective("BinaryCrossentropy", False, "accuracy")


def _same_shape(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    return len(one) == len(other) and all(a == b or a is None or b is None for a, b in zip(one, other, strict=True))
