"""The weights of layer, group and instance normalization folded into the layers that read it, for inference."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from advisor.facts import Facts
from advisor.facts.affine_maps import norm_affine_map
from advisor.graph import Configure, Edit
from advisor.rewrite.recipes.settling import at_once, settled, taken_up_after


def fold_norm_weights(model: keras.Model) -> keras.Model:
    """Fold `gamma` and `beta` of layer, group and instance normalization into the linear layers that read it.

    `W·(γ · x̂ + β) + b` is the linear layer `(W·γ)·x̂ + (W·β + b)` of the bare normalized values x̂, computed in float64.
    That takes a multiplication and an addition out of every normalization before a dense layer, as in Transformers and
    ConvNeXt. All that read the normalization must be convolutions or dense layers; those that pad with zeros take up a
    `β` of 0 only. What may stand between is said at `fold_batch_norm`.

    Args:
        model: Sequential or Functional model; stays as it is.

    Returns:
        A new model that computes the same at inference; training it goes on without these weights.

    Raises:
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> norm, dense = keras.layers.LayerNormalization(name="norm"), keras.layers.Dense(2)
    >>> model = keras.Sequential([keras.Input((4,)), norm, dense])
    >>> fold_norm_weights(model).get_layer("norm").weights
    []

    References:
        Ashkboos et al. 2024, arXiv:2401.15024, section 3.2, where the weights of RMS normalization go the same way.
    """
    return settled(model, lambda facts: at_once(facts, norm_weight_folds(facts)))


def norm_weight_folds(facts: Facts) -> Iterator[list[Edit]]:
    """For each normalization whose weights can be folded, the edits that do it."""
    for norm in facts.layers.values():
        values = norm_affine_map(facts.graph, norm) if facts.graph.is_first_call(norm.path) else None
        if values is None:
            continue
        edits = taken_up_after(facts, norm.path, values)
        if edits:
            yield [*edits, Configure(norm.path, {"center": False, "scale": False})]
