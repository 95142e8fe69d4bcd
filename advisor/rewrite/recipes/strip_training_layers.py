"""Layers that only act while training, taken out for inference."""

from __future__ import annotations

import keras

from advisor.facts import Facts
from advisor.facts.commuting import only_trains
from advisor.graph import Remove
from advisor.rewrite.rebuild import rebuild
from advisor.rewrite.recipes.targets import facts_of


def strip_training_layers(model: keras.Model) -> keras.Model:
    """Take out dropout, noise and augmentation, which do nothing at inference.

    Args:
        model: Sequential or Functional model; stays as it is.

    Returns:
        A new model that computes the same at inference; weights as before.

    Raises:
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(2, name="dense")])
    >>> [layer.name for layer in strip_training_layers(model).layers]
    ['dense']
    """
    facts = facts_of(model)
    return rebuild(facts.graph, removals(facts)).model


def removals(facts: Facts) -> list[Remove]:
    """The edits that take out what does nothing at inference."""
    idle = (layer.path for layer in facts.layers.values() if only_trains(layer))
    return [Remove(path) for path in idle if not facts.graph.refusal(path)]
