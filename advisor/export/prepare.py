"""The copy of a model that is shipped: without what only training needs, batch normalization folded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import keras

from advisor.graph import keras_internals


@dataclass(frozen=True)
class Prepared:
    """A model ready for conversion.

    Attributes:
        model: Computes the same at inference as the model it was made from.
        notes: What was done to it, one sentence each; empty when nothing had to be done.
    """

    model: keras.Model
    notes: tuple[str, ...]


def prepare(model: keras.Model) -> Prepared:
    """Strips training-only layers and folds batch normalization, on a copy.

    Args:
        model: A built model; it is not changed.

    Returns:
        The prepared model, or the model itself where nothing had to be done.
    """
    from advisor.rewrite import fold_batch_norm, strip_training_layers

    stripped = strip_training_layers(model)
    folded = fold_batch_norm(stripped)
    notes = [
        f"{verb} {count} {name}"
        for verb, before, after in (("removed", model, stripped), ("folded", stripped, folded))
        for name, count in _gone(before, after).items()
    ]
    return Prepared(folded, tuple(notes)) if notes else Prepared(model, ())


def _gone(before: keras.Model, after: keras.Model) -> Counter[str]:
    """Layers by class that are in the first model and not in the second."""
    return _classes(before) - _classes(after)


def _classes(model: keras.Model) -> Counter[str]:
    return Counter(type(layer).__name__ for layer in keras_internals.layer_tree(model))
