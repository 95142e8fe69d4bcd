"""Layer scale folded into the weights around it, for inference."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from advisor.facts import Facts
from advisor.facts.affine_maps import affine_map, is_layer_scale
from advisor.graph import Edit, Remove
from advisor.rewrite.recipes.settling import at_once, settled, taken_up_after, taken_up_before


def fold_layer_scale(model: keras.Model) -> keras.Model:
    """Fold `LayerScale` into the linear layers before it, or into those that read it.

    `γ · (W·x + b)` is the linear layer `(γ·W)·x + γ·b`, computed in float64; where layers may stand between the two is
    said at `fold_batch_norm`. Known are the layer of keras_normpack and that in `keras.applications.ConvNeXt…`.

    Args:
        model: Sequential or Functional model; stays as it is.

    Returns:
        A new model that computes the same at inference; training it goes on without the scale.

    Raises:
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> from keras_normpack import LayerScale
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense"), LayerScale()])
    >>> [layer.name for layer in fold_layer_scale(model).layers]
    ['dense']

    References:
        Touvron et al. 2021, arXiv:2103.17239, section 2.
    """
    return settled(model, lambda facts: at_once(facts, layer_scale_folds(facts)))


def layer_scale_folds(facts: Facts) -> Iterator[list[Edit]]:
    """For each layer scale that can be folded, the edits that do it."""
    for layer in facts.layers.values():
        if not is_layer_scale(layer) or not facts.graph.is_first_call(layer.path):
            continue
        values = affine_map(facts.graph, layer)
        if values is None:
            continue
        edits = taken_up_before(facts, layer.path, values) or taken_up_after(facts, layer.path, values)
        if edits:
            yield [*edits, *(Remove(call) for call in facts.graph.calls_of(layer.path))]
