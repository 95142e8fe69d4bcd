"""How good a trained candidate is on each validation sample: one way for all, and higher is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.training.task_metric import SampleMetric, labels_by_output, task_metric

OfEach = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From labels and outputs to one score per sample."""

_OF_NUMBERS = frozenset(
    {
        "MeanSquaredError",
        "MeanAbsoluteError",
        "MeanAbsolutePercentageError",
        "MeanSquaredLogarithmicError",
        "Huber",
        "LogCosh",
        "CosineSimilarity",
        "Poisson",
        "Tversky",
    }
)
"""Losses of models that estimate numbers, whatever their labels look like."""


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores predictions of any candidate.

    Attributes:
        name: What is scored: `accuracy` and its kin, or `loss`.
        counts_right_answers: Whether a score is a share of right answers, told in points; else it is minus a loss, and
            differences are told in percent of the original's.
        names: Names of the outputs in flat order.
        of_output: How each output that has labels is scored, by its name.
    """

    name: str
    counts_right_answers: bool
    names: tuple[str, ...]
    of_output: Mapping[str, OfEach]

    def __call__(self, model: Any, samples: tuple[Any, Any], batch_size: int) -> np.ndarray:
        """One score per sample, the mean over the outputs that have labels.

        Args:
            model: A model with the outputs of the original.
            samples: Inputs and labels.
            batch_size: Samples in a batch of predictions.

        Returns:
            Scores of shape `(samples,)`.
        """
        x, y = samples
        labels = labels_by_output(self.names, y)
        outputs = dict(zip(self.names, _predictions(model, x, batch_size), strict=True))
        return np.mean([of(np.asarray(labels[name]), outputs[name]) for name, of in self.of_output.items()], axis=0)


def scorer_for(model: Any, losses: Any, samples: tuple[Any, Any], batch_size: int) -> Scorer:
    """How candidates are scored: by right answers where every output gives such, else by the loss of the original.

    Args:
        model: The original model.
        losses: The argument `loss` of its `compile`.
        samples: Validation inputs and labels, by which right answers are told from numbers.
        batch_size: Samples in a batch of predictions.

    Returns:
        The scorer. Penalties and label smoothing are in no score.

    Raises:
        ValueError: If no output has labels that fit it, or a loss is needed and not known.
    """
    x, y = samples
    outputs = _predictions(model, x, batch_size)
    names = _output_names(model, len(outputs))
    labels = labels_by_output(names, y)
    if not labels:
        raise ValueError(
            "`validation_data` must have labels for the outputs of the model: an array for each, or arrays by name. "
            f"Received: {len(keras.tree.flatten(y))} arrays of labels for the outputs {', '.join(names)}"
        )
    by_name = dict(zip(names, outputs, strict=True))
    loss_of = {name: _loss_of(losses, name, names) for name in labels}
    metrics = [_right_answers(loss_of[name], np.asarray(labels[name]), by_name[name]) for name in labels]
    found = [metric for metric in metrics if metric is not None]
    if len(found) == len(metrics):
        title = found[0].name if len(found) == 1 else "accuracy"
        return Scorer(title, True, names, dict.fromkeys(labels, _share_right))
    missing = [name for name in labels if loss_of[name] is None]
    if missing:
        raise ValueError(
            "the original model must be compiled with a loss for each output that has labels, as it is scored by "
            f"that loss. Received: no loss for {', '.join(missing)}"
        )
    return Scorer("loss", False, names, {name: _by_loss(loss) for name, loss in loss_of.items()})


def _predictions(model: Any, x: Any, batch_size: int) -> list[np.ndarray]:
    outputs = model.predict(x, batch_size=batch_size, verbose=0)
    return [np.asarray(output) for output in keras.tree.flatten(outputs)]


def _output_names(model: Any, count: int) -> tuple[str, ...]:
    structure = getattr(model, "output", None)
    if isinstance(structure, Mapping):
        return tuple(keras.tree.flatten({name: name for name in structure}))
    names = list(getattr(model, "output_names", None) or ())
    return tuple(names) if len(names) == count else tuple(f"output_{number}" for number in range(count))


def _right_answers(loss: Any, labels: np.ndarray, outputs: np.ndarray) -> SampleMetric | None:
    if type(_as_object(loss)).__name__ in _OF_NUMBERS:
        return None
    metric = task_metric(labels, outputs)
    return metric if metric is not None and metric.counts_right_answers else None


def _share_right(labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    metric = task_metric(labels, outputs)
    assert metric is not None
    return metric.of_each(outputs)


def _loss_of(losses: Any, name: str, names: tuple[str, ...]) -> Any:
    """The loss of an output, out of what `compile` took."""
    if isinstance(losses, Mapping):
        return losses.get(name)
    if isinstance(losses, (list, tuple)):
        return losses[names.index(name)] if len(losses) == len(names) else None
    return losses


def _by_loss(loss: Any) -> OfEach:
    known = _as_object(loss)
    compute = _unreduced(known) if isinstance(known, keras.losses.Loss) else loss

    def scores(labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        losses = np.asarray(keras.ops.convert_to_numpy(compute(labels, outputs)))
        if losses.shape[:1] != outputs.shape[:1]:
            # A function of the user's that takes the mean over the batch itself.
            losses = np.array(
                [
                    float(keras.ops.convert_to_numpy(compute(labels[row : row + 1], outputs[row : row + 1])))
                    for row in range(len(outputs))
                ]
            )
        return -losses.reshape(len(losses), -1).mean(axis=1).astype("float64")

    return scores


def _unreduced(loss: Any) -> Any:
    """The loss as one value per sample, labels as they are."""
    config = loss.get_config()
    smoothing = {"label_smoothing": 0.0} if "label_smoothing" in config else {}
    try:
        return type(loss).from_config({**config, **smoothing, "reduction": None})
    except Exception:
        return loss.call  # its `get_config` is not made to build it again


def _as_object(loss: Any) -> Any:
    """The loss object behind a name or a function of Keras's own; anything else as it is."""
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    name = getattr(loss, "__name__", None)
    if name is None or getattr(keras.losses, name, None) is not loss:
        return loss
    camel = "".join(part.capitalize() for part in name.split("_"))
    return getattr(keras.losses, camel)() if hasattr(keras.losses, camel) else loss


def mean_score(scores: Sequence[float] | np.ndarray) -> float:
    """The mean of scores, as a plain number."""
    return float(np.mean(scores))
