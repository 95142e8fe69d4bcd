"""The replicas among which a model's batches are split, as its `tf.distribute` strategy has them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras


def replicas_of(model: Any) -> int:
    """How many data-parallel replicas `fit` splits the batches of a model among.

    Those of the `tf.distribute` strategy in whose scope the model was made, else of the one in scope now. A
    `keras.distribution` counts as one: it splits the arrays, not the computation, so that batch normalization averages
    over the whole batch (docs/adr/0009-replicas.md).

    Args:
        model: Any Keras model.

    Returns:
        At least 1.

    Example:
    >>> import keras
    >>> replicas_of(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    1
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    return int(model.distribute_strategy.num_replicas_in_sync)


def strategy_scope(model: Any) -> AbstractContextManager[Any]:
    """The scope in which a model has to be made that is to train on the replicas of another.

    Args:
        model: The other model.

    Returns:
        The scope of its strategy; one that does nothing where it has a single replica.
    """
    if replicas_of(model) == 1:
        return nullcontext()
    scope: AbstractContextManager[Any] = model.distribute_strategy.scope()
    return scope
