"""Copies of a model that start anew, with initial values of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from advisor.graph import keras_internals as internals
from advisor.graph import read_graph
from advisor.rewrite.cloning import custom_objects
from advisor.rewrite.rebuild import rebuild


@dataclass(frozen=True, eq=False)
class FreshCopy:
    """A copy of a model.

    Attributes:
        model: The copy, compiled as the original.
        note: Why it has the values of the original although others were asked for; None where it has others.
    """

    model: Any
    note: str | None = None


def fresh_copy(model: Any, *, keep_trained: bool = False) -> FreshCopy:
    """A copy of a model with initial values drawn anew, as Keras's random numbers have been seeded.

    What is not trained stays: statistics and vocabularies that layers were adapted to, moving averages, frozen layers.

    Args:
        model: The model; stays as it is.
        keep_trained: Whether what is trained stays, too, so that only dropout and its kin start anew.

    Returns:
        The copy, or one with the same values and the reason where the model's class cannot be built anew.

    Raises:
        RewriteError: If it cannot even be copied.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> copies = []
    >>> for seed in (1, 1, 2):
    ...     keras.utils.set_random_seed(seed)
    ...     copies.append(fresh_copy(model).model.get_weights()[0])
    >>> bool((copies[0] == copies[1]).all()), bool((copies[0] == copies[2]).all())
    (True, False)
    """
    graph = read_graph(model)
    copy = rebuild(graph).model
    try:
        config = keras.saving.serialize_keras_object(model)
        operations = [model, *(node.operation for node in graph.nodes.values())]
        with keras.saving.custom_object_scope(custom_objects(operations)):
            source = internals.model_from_config(_unseeded(config), safe_mode=False)
        drawn, wanted = source.variables, copy.variables
        if [tuple(v.shape) for v in drawn] != [tuple(v.shape) for v in wanted]:
            raise ValueError("it comes with other variables when it is made from its configuration")
    except Exception as error:
        return FreshCopy(copy, f"`{model.name}` began with the same weights each time, as it cannot be built: {error}")
    for variable, new in zip(wanted, drawn, strict=True):
        if not is_kept(variable, keep_trained=keep_trained):
            variable.assign(new)
    return FreshCopy(copy)


def is_kept(variable: Any, *, keep_trained: bool) -> bool:
    """Whether a variable of a fresh copy has the value of the original."""
    if "seed_generator_state" in variable.path:
        return False
    return keep_trained or not variable.trainable


def _unseeded(part: Any) -> Any:
    """A configuration whose initializers have no seed, which would draw the same values every time."""
    if isinstance(part, dict):
        settings = part.get("config")
        if str(part.get("module")).startswith("keras.initializers") and isinstance(settings, dict):
            return {**part, "config": {key: None if key == "seed" else value for key, value in settings.items()}}
        return {key: _unseeded(value) for key, value in part.items()}
    return [_unseeded(item) for item in part] if isinstance(part, list) else part
