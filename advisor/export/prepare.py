"""The copy of a model that is shipped: without what only training needs, batch normalization folded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import keras

from advisor.graph import keras_internals
from advisor.rewrite import RewriteError, fold_batch_norm, strip_training_layers

STEPS = (("removed", strip_training_layers), ("folded", fold_batch_norm))


@dataclass(frozen=True)
class Prepared:
    """A model ready for conversion.

    Attributes:
        model: Computes the same at inference as the model it was made from; that model itself when nothing was done.
        done: What was done to it.
        refused: Why something could not be done.
    """

    model: keras.Model
    done: tuple[str, ...]
    refused: tuple[str, ...]


def prepare(model: keras.Model) -> Prepared:
    """Strips training-only layers and folds batch normalization, on a copy.

    Args:
        model: A built model; it is not changed.

    Returns:
        The prepared model.

    Example:
    >>> from keras import Sequential, layers
    >>> net = Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dropout(0.5)])
    >>> prepare(net).done
    ('removed 1 Dropout', 'folded 1 BatchNormalization')
    """
    current = model
    done: list[str] = []
    refused: list[str] = []
    for verb, step in STEPS:
        try:
            after = step(current)
        except RewriteError as error:
            refused.append(str(error))
            continue
        gone = _classes(current) - _classes(after)
        if gone:
            done.extend(f"{verb} {count} {name}" for name, count in gone.items())
            current = after
    return Prepared(current, tuple(done), tuple(dict.fromkeys(refused)))


def _classes(model: keras.Model) -> Counter[str]:
    return Counter(type(layer).__name__ for layer in keras_internals.layer_tree(model))
