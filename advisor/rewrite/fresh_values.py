"""Copies of a model that start anew, with initial values of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from advisor.graph import keras_internals as internals
from advisor.graph import read_graph
from advisor.rewrite.errors import RewriteError
from advisor.rewrite.rebuild import built_anew, rebuild


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
        source = built_anew(graph)
        if [tuple(v.shape) for v in source.variables] != [tuple(v.shape) for v in copy.variables]:
            raise RewriteError("built anew, it has other variables")
    except RewriteError as error:
        return FreshCopy(copy, f"`{model.name}` began with the same weights each time: {error}")
    _draw_in_spite_of_seeds(source)
    for variable, new in zip(copy.variables, source.variables, strict=True):
        if not is_kept(variable, keep_trained=keep_trained):
            variable.assign(new)
    return FreshCopy(copy)


def is_kept(variable: Any, *, keep_trained: bool) -> bool:
    """Whether a variable of a fresh copy has the value of the original."""
    if "seed_generator_state" in variable.path:
        return False
    return keep_trained or not variable.trainable


def _draw_in_spite_of_seeds(model: Any) -> None:
    """Draw random values again by new initializers: one with a seed, or used before, draws the same every time."""
    for layer in internals.layer_tree(model):
        for variable in internals.own_variables(layer):
            initializer = getattr(layer, f"{variable.name}_initializer", None)
            if isinstance(initializer, keras.initializers.Initializer) and "seed" in initializer.get_config():
                unseeded = type(initializer).from_config({**initializer.get_config(), "seed": None})
                variable.assign(unseeded(variable.shape, dtype=variable.dtype))
