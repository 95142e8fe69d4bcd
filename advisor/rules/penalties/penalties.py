"""The penalties that a layer's own arguments put on its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from advisor.facts import LINEAR_KINDS, Kind, LayerFacts

_WITH_PENALTIES = LINEAR_KINDS | {Kind.RECURRENT, Kind.ATTENTION, Kind.EMBEDDING, Kind.NORM}
VECTORS = frozenset({"bias_regularizer", "gamma_regularizer", "beta_regularizer"})
"""Arguments that penalize biases, scales and offsets."""


def l2_penalties(layer: LayerFacts) -> Mapping[str, float]:
    """The factors λ of the L2 penalties λ·Σw² in the loss, by the argument that asks for them.

    Args:
        layer: Any layer.

    Returns:
        The factors, where the penalty has no L1 part; empty for layers that are not trained, and for penalties that
        reach no variable (R301).

    Example:
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> dense = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.25), name="dense")
    >>> l2_penalties(gather_facts(read_graph(keras.Sequential([keras.Input((8,)), dense])))["dense"])
    {'kernel_regularizer': 0.25}
    """
    if layer.kind not in _WITH_PENALTIES or not layer.trainable or not layer.has_penalty:
        return {}
    return {
        argument: factor
        for argument, value in layer.config.items()
        if argument.endswith("_regularizer")
        and argument not in {"activity_regularizer", *layer.unbound_regularizers}
        and (factor := _l2_factor(value))
    }


def _l2_factor(serialized: Any) -> float | None:
    if serialized is None:
        return None
    try:
        regularizer = keras.regularizers.get(serialized)
    except (TypeError, ValueError):
        return None  # the user's own, which no name leads to
    if type(regularizer) is keras.regularizers.L1L2 and not float(regularizer.l1):
        return float(regularizer.l2)
    return float(regularizer.l2) if type(regularizer) is keras.regularizers.L2 else None
