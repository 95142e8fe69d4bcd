"""The callbacks of a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras

import keras_normpack
from keras_normpack.callbacks.batch_statistics import training_batch_normalizations


def make_callbacks(
    early_stopping: Mapping[str, Any] | None, reduce_on_plateau: Mapping[str, Any] | None = None, *, validated: bool
) -> list[Any]:
    """Fresh callbacks: stop on a loss that is no number, and early where planned; lower the learning rate.

    Args:
        early_stopping: Arguments of `keras.callbacks.EarlyStopping`, or None for none.
        reduce_on_plateau: Arguments of `keras.callbacks.ReduceLROnPlateau`, or None for none.
        validated: Whether the run has validation data; without, the training loss is watched instead.

    Returns:
        The callbacks.

    Example:
    >>> [type(callback).__name__ for callback in make_callbacks({"monitor": "val_loss"}, validated=True)]
    ['TerminateOnNaN', 'EarlyStopping']
    """
    callbacks: list[Any] = [keras.callbacks.TerminateOnNaN()]
    if reduce_on_plateau is not None:
        callbacks.append(keras.callbacks.ReduceLROnPlateau(**_watching(reduce_on_plateau, validated)))
    if early_stopping is not None:
        callbacks.append(keras.callbacks.EarlyStopping(**_watching(early_stopping, validated)))
    return callbacks


def batch_statistics_callbacks(model: Any, data: Any, batch_size: int | None, *, validated: bool) -> list[Any]:
    """The callback that recomputes the moving averages of batch normalization; none where nothing has them.

    Args:
        model: The model that will be trained.
        data: Its training data.
        batch_size: Samples in a batch of arrays.
        validated: Whether the run has validation data, which must see the averages of every epoch.

    Returns:
        At most one callback. It stands after those that restore weights. None, and a warning, for a generator.
    """
    if not training_batch_normalizations(model):
        return []
    if isinstance(data, Iterator):
        warnings.warn(
            "the moving averages of batch normalization are not recomputed as planned, since a generator can be read "
            "only once; give a tf.data.Dataset (`from_generator` makes one), a PyDataset or arrays",
            stacklevel=2,
        )
        return []
    at = "epoch_end" if validated else "train_end"
    return [keras_normpack.PreciseBatchNormalization(data, batch_size=batch_size, at=at)]


def _watching(settings: Mapping[str, Any], validated: bool) -> dict[str, Any]:
    monitor = settings.get("monitor", "val_loss")
    return {**settings, "monitor": monitor if validated else monitor.removeprefix("val_")}


def joined(planned: Iterable[Any], given: Any) -> list[Any]:
    """Planned callbacks and the user's; where the user has one of a planned class, or derived from it, that alone.

    Args:
        planned: Callbacks of the plan.
        given: What the user passed to `fit`: None, a callback, a list of them or a `CallbackList`.

    Returns:
        One list.
    """
    own = own_callbacks(given)
    return [*(callback for callback in planned if _successor(callback, own) is None), *own]


def replacements(planned: Iterable[Any], given: Any) -> list[str]:
    """A sentence for each planned callback that one of the user's replaces.

    Args:
        planned: As in `joined`.
        given: As in `joined`.

    Returns:
        The sentences.

    Example:
    >>> replacements([keras.callbacks.TerminateOnNaN()], keras.callbacks.TerminateOnNaN())
    ['your TerminateOnNaN replaces that of the training plan']
    """
    own = own_callbacks(given)
    pairs = [(callback, _successor(callback, own)) for callback in planned]
    return [
        f"your {type(successor).__name__} replaces "
        + ("that" if type(successor) is type(callback) else f"the {type(callback).__name__}")
        + " of the training plan"
        for callback, successor in pairs
        if successor is not None
    ]


def own_callbacks(given: Any) -> list[Any]:
    """What the user passed to `fit` as a flat list."""
    if isinstance(given, keras.callbacks.CallbackList):
        given = given.callbacks
    return [] if given is None else keras.tree.flatten(given)


def _successor(callback: Any, own: Iterable[Any]) -> Any:
    return next((mine for mine in own if isinstance(mine, type(callback))), None)
