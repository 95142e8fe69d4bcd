"""Dropout where a model has none."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from advisor.graph import InsertBefore, LayerSpec
from advisor.rewrite.rebuild import rebuild
from advisor.rewrite.recipes.targets import chosen, facts_of


def add_dropout(
    model: keras.Model,
    rate: float = 0.5,
    *,
    before: str | Iterable[str] | None = None,
    layer: type[keras.Layer] = keras.layers.Dropout,
    seed: int | None = None,
) -> keras.Model:
    """Insert dropout; at inference the model computes the same as before.

    Args:
        model: Sequential or Functional model; stays as it is.
        rate: Share of the units to drop, 0 ≤ rate < 1.
        before: Paths of the layers whose input is dropped; None means the last dense layer of every output.
        layer: Class of the dropout layers, such as `keras.layers.SpatialDropout2D`.
        seed: Seed of the new layers.

    Returns:
        A new model, weights as before.

    Raises:
        ValueError: If `rate` is out of range or `before` names a layer that is not there.
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> head = keras.layers.Dense(3, name="head")
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, name="hidden"), head])
    >>> [layer.name for layer in add_dropout(model, 0.3).layers]
    ['hidden', 'head_dropout', 'head']

    References:
        Srivastava et al. 2014, JMLR 15, section 4.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"`rate` must be at least 0 and below 1. Received: rate={rate}")
    facts = facts_of(model)
    heads = {head.linear for head in facts.model.heads}
    targets = chosen(facts, before, lambda candidate: candidate.path in heads, "before")
    spec = LayerSpec(layer, {"rate": rate, "seed": seed})
    return rebuild(facts.graph, [InsertBefore(target.path, (spec,)) for target in targets]).model
