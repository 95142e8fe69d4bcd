"""Layers that only act while training, taken out for inference."""

from __future__ import annotations

import keras

from advisor.facts import Facts, Kind
from advisor.graph import Remove
from advisor.rewrite.rebuild import rebuild
from advisor.rewrite.recipes.targets import facts_of

# They work at inference too.
_NOT_ONLY_TRAINING = frozenset({"CenterCrop", "RandomCrop", "AutoContrast", "Equalization", "MonteCarloDropout"})


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
    return rebuild(facts.graph, [Remove(path) for path in training_only(facts)]).model


def training_only(facts: Facts) -> list[str]:
    """Paths of the nodes that do nothing at inference."""
    return [
        layer.path
        for layer in facts.of_kind(Kind.DROPOUT, Kind.AUGMENTATION)
        if layer.cls.__name__ not in _NOT_ONLY_TRAINING
        and len(layer.input_shapes) == 1
        and not facts.graph.refusal(layer.path)
    ]
