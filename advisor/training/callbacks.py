"""The callbacks of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras


def make_callbacks(early_stopping: Mapping[str, Any] | None, *, validated: bool) -> list[Any]:
    """Fresh callbacks: stop on a loss that is no number, and early where planned.

    Args:
        early_stopping: Arguments of `keras.callbacks.EarlyStopping`, or None for none.
        validated: Whether the run has validation data; without, the training loss is watched instead.

    Returns:
        The callbacks.

    Example:
    >>> [type(callback).__name__ for callback in make_callbacks({"monitor": "val_loss"}, validated=True)]
    ['TerminateOnNaN', 'EarlyStopping']
    """
    callbacks: list[Any] = [keras.callbacks.TerminateOnNaN()]
    if early_stopping is not None:
        settings = dict(early_stopping)
        if not validated:
            settings["monitor"] = settings["monitor"].removeprefix("val_")
        callbacks.append(keras.callbacks.EarlyStopping(**settings))
    return callbacks


def joined(planned: Iterable[Any], given: Any) -> list[Any]:
    """Planned callbacks and the user's; where both are of one class, the user's alone.

    Args:
        planned: Callbacks of the plan.
        given: What the user passed to `fit`: None, a callback, a list of them or a `CallbackList`.

    Returns:
        One list.
    """
    if isinstance(given, keras.callbacks.CallbackList):
        given = given.callbacks
    own = [] if given is None else keras.tree.flatten(given)
    classes = {type(callback) for callback in own}
    return [*(callback for callback in planned if type(callback) not in classes), *own]
