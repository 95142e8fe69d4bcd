"""Labels as distributions: what smoothing and mixing need, and what it makes of loss and metrics.

`SparseCategoricalCrossentropy` takes class numbers and has no label smoothing. While a model is trained with smoothed
or mixed labels they are one-hot, and loss and metrics are the categorical ones that say the same of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

SMOOTHABLE = (
    "CategoricalCrossentropy",
    "BinaryCrossentropy",
    "CategoricalFocalCrossentropy",
    "BinaryFocalCrossentropy",
)
"""Losses that have an argument `label_smoothing`."""

_SPARSE_LOSS, _DENSE_LOSS = "SparseCategoricalCrossentropy", "CategoricalCrossentropy"

_METRICS = {
    "SparseCategoricalAccuracy": "CategoricalAccuracy",
    "SparseCategoricalCrossentropy": "CategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy": "TopKCategoricalAccuracy",
}
_METRIC_NAMES = {
    "sparse_categorical_accuracy": "SparseCategoricalAccuracy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "sparse_top_k_categorical_accuracy": "SparseTopKCategoricalAccuracy",
}
# Keras looks at the labels to tell which accuracy or crossentropy is meant.
_CHOSEN_BY_KERAS = frozenset({"accuracy", "acc", "crossentropy", "ce"})


class SoftLabelsError(ValueError):
    """Labels cannot be smoothed or mixed under this loss or metric; the message says why and what to do."""


def takes_class_numbers(arguments: Mapping[str, Any]) -> bool:
    """Whether the loss among the arguments of `compile` takes class numbers.

    Example:
    >>> takes_class_numbers({"loss": "sparse_categorical_crossentropy"})
    True
    """
    loss = _known_loss(arguments.get("loss"))
    return loss is not None and type(loss).__name__ == _SPARSE_LOSS


def for_soft_labels(arguments: Mapping[str, Any], label_smoothing: float | None) -> dict[str, Any]:
    """Arguments of `compile` for one-hot labels, smoothed where that is planned.

    Args:
        arguments: Arguments of `compile`.
        label_smoothing: Share of every label that is spread over all classes; None for none.

    Returns:
        Arguments with a loss and metrics of the same name for one-hot labels.

    Raises:
        SoftLabelsError: If loss or metrics have no such counterpart.

    Example:
    >>> given = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    >>> soft = for_soft_labels(given, 0.1)
    >>> soft["loss"].label_smoothing, soft["metrics"]
    (0.1, ['accuracy'])
    """
    loss = _known_loss(arguments.get("loss"))
    name = type(loss).__name__
    if loss is None or name not in (_SPARSE_LOSS, *SMOOTHABLE):
        raise SoftLabelsError(
            "labels are smoothed and mixed under one crossentropy of Keras's own. Received: "
            f"loss={arguments.get('loss')!r}"
        )
    config = loss.get_config()
    if name == _SPARSE_LOSS:
        if config.pop("ignore_class", None) is not None:
            raise SoftLabelsError("a loss with ignore_class needs class numbers, and smoothed or mixed labels are none")
        name = _DENSE_LOSS
    if label_smoothing is not None:
        # The user's own smoothing wins.
        config["label_smoothing"] = config.get("label_smoothing") or label_smoothing
    changed = {
        key: keras.tree.map_structure(_dense_metric, arguments[key])
        for key in ("metrics", "weighted_metrics")
        if arguments.get(key) is not None
    }
    return {**arguments, **changed, "loss": getattr(keras.losses, name).from_config(config)}


def for_class_numbers(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What `for_soft_labels` made of arguments of `compile`, turned back for labels that are class numbers.

    Example:
    >>> soft = for_soft_labels({"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}, 0.1)
    >>> type(for_class_numbers(soft)["loss"]).__name__
    'SparseCategoricalCrossentropy'
    """
    config = _without(arguments["loss"].get_config(), "label_smoothing", "axis")
    changed = {
        key: keras.tree.map_structure(_sparse_metric, arguments[key])
        for key in ("metrics", "weighted_metrics")
        if arguments.get(key) is not None
    }
    return {**arguments, **changed, "loss": getattr(keras.losses, _SPARSE_LOSS).from_config(config)}


def one_hot(labels: Any, classes: int) -> Any:
    """One-hot labels of class numbers; labels that are one-hot already are left as they are.

    Args:
        labels: TensorFlow tensor or NumPy array of shape `(batch,)`, `(batch, 1)` or `(batch, classes)`.
        classes: Number of classes, at least 2.

    Returns:
        A float32 tensor of shape `(batch, classes)`.

    Example:
    >>> import numpy as np
    >>> one_hot(np.array([1, 0]), 3).numpy().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    import tensorflow as tf

    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank is not None and labels.shape.rank > 1 and labels.shape[-1] == classes:
        return tf.cast(labels, tf.float32)
    if labels.shape.rank is not None and labels.shape.rank > 1 and labels.shape[-1] == 1:
        labels = tf.squeeze(labels, -1)
    return tf.one_hot(tf.cast(labels, tf.int32), classes, dtype=tf.float32)


def _known_loss(loss: Any) -> Any:
    """The `keras.losses.Loss` that is meant, or None for a function of the user's, several losses, or none."""
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    if callable(loss) and not isinstance(loss, keras.losses.Loss):
        name = "".join(part.title() for part in getattr(loss, "__name__", "").split("_"))
        is_keras_own = hasattr(keras.losses, name) and getattr(keras.losses, loss.__name__, None) is loss
        return getattr(keras.losses, name)() if is_keras_own else None
    return loss if isinstance(loss, keras.losses.Loss) and type(loss).__module__.startswith("keras.") else None


def _dense_metric(metric: Any) -> Any:
    if metric is None or metric in _CHOSEN_BY_KERAS:
        return metric
    if isinstance(metric, str):
        name, config = _METRIC_NAMES.get(metric, metric), {"name": metric}
    else:
        name, config = type(metric).__name__, metric.get_config() if isinstance(metric, keras.metrics.Metric) else {}
    if name in _METRICS.values():
        return metric
    if name not in _METRICS:
        raise SoftLabelsError(
            f"the metric {metric!r} is not known to take one-hot labels; leave it out, or name 'accuracy'"
        )
    return getattr(keras.metrics, _METRICS[name]).from_config(_without(config, "ignore_class"))


def _sparse_metric(metric: Any) -> Any:
    sparse = {dense: sparse for sparse, dense in _METRICS.items()}.get(type(metric).__name__)
    if sparse is None:
        return metric
    return getattr(keras.metrics, sparse).from_config(_without(metric.get_config(), "label_smoothing"))


def _without(config: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}
