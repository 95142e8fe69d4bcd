"""Batch normalization folded into the weights around it, for inference."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from advisor.facts import Facts
from advisor.facts.affine_maps import affine_map, is_plain_batch_norm
from advisor.graph import Edit, Remove
from advisor.rewrite.recipes.settling import at_once, settled, taken_up_after, taken_up_before


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Fold batch normalization into the linear layers before it, or into those that read it.

    With `s = γ / √(σ² + ε)` and `t = β − s · μ`, a convolution or dense layer before it becomes `W ← s · W`,
    `b ← s · b + t`, and one after it `W ← W · s`, `b ← b + W · t`, computed in float64. Between the two may stand what
    gives the same after the map as before it: average pooling, cropping, upsampling, flattening, dropout,
    concatenation of channels (before the normalization only); maximum pooling if no `s` is negative; padding with
    zeros, also by the convolution after it, if every `t` is 0. Everything that reads what is changed has to take part
    in it. The result computes the same at inference and must not be trained. Normalizations that cannot be folded
    stay, such as those with an activation on both sides.

    Args:
        model: Sequential or Functional model; stays as it is.

    Returns:
        A new model.

    Raises:
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> conv, norm = keras.layers.Conv2D(4, 3, activation="relu", name="conv"), keras.layers.BatchNormalization()
    >>> head = [keras.layers.Flatten(name="flat"), keras.layers.Dense(2, name="head")]
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), conv, norm, *head])
    >>> [layer.name for layer in fold_batch_norm(model).layers]
    ['conv', 'flat', 'head']

    References:
        Jacob et al. 2018, arXiv:1712.05877, section 3.2.
    """
    return settled(model, lambda facts: at_once(facts, batch_norm_folds(facts)))


def batch_norm_folds(facts: Facts) -> Iterator[list[Edit]]:
    """For each batch normalization that can be folded, the edits that do it."""
    for norm in facts.batch_norms():
        values = affine_map(facts.graph, norm) if is_plain_batch_norm(norm) else None
        if values is None:
            continue
        edits = taken_up_before(facts, norm.path, values) or taken_up_after(facts, norm.path, values)
        if edits:
            yield [*edits, *(Remove(call) for call in facts.graph.calls_of(norm.path))]
