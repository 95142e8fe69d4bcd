"""Rescaling of inputs and outputs folded: several layers into one, and that into the linear layer beside it."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np

from advisor.facts import Facts, LayerFacts
from advisor.facts.affine_maps import AffineMap, affine_map, is_rescaling
from advisor.graph import Edit, LayerSpec, Remove, Replace
from advisor.rewrite.recipes.settling import at_once, settled, taken_up_after, taken_up_before

# `(x − μ) / σ` rounds what is left of x when μ is gone; `x / σ − μ / σ` rounds that many times more.
_LARGEST_SHIFT = 32.0


def fold_rescaling(model: keras.Model) -> keras.Model:
    """Fold `Rescaling` and `Normalization` layers in a row into one, and into a linear layer before or after them.

    `s₂ · (s₁ · x + t₁) + t₂` is `(s₂·s₁) · x + (s₂·t₁ + t₂)`, computed in float64. A convolution that pads with zeros,
    as most first layers of networks do, takes up only the scales: `W·(s · x + t)` becomes `(W·s)·(x + t / s)`, and the
    addition stays. Layers stay where inputs are integers, which they turn into floats, and where inputs lie further
    from 0 than 32 standard deviations, as float32 would lose digits.

    Args:
        model: Sequential or Functional model; stays as it is.

    Returns:
        A new model that computes the same at inference.

    Raises:
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> scale, dense = keras.layers.Rescaling(1 / 255), keras.layers.Dense(2, name="dense")
    >>> model = keras.Sequential([keras.Input((4,)), scale, keras.layers.Normalization(mean=0.5, variance=1.0), dense])
    >>> [layer.name for layer in fold_rescaling(model).layers]
    ['dense']
    """
    return settled(model, lambda facts: at_once(facts, rescaling_folds(facts)))


def rescaling_folds(facts: Facts) -> Iterator[list[Edit]]:
    """For each rescaling, the edits that fold it, as far as it can be."""
    for layer in facts.layers.values():
        values = _map_of(facts, layer)
        if values is not None:
            ways = (way(facts, layer, values) for way in (_merged, _taken_up, _scales_only))
            yield next((edits for edits in ways if edits), [])


def _map_of(facts: Facts, layer: LayerFacts) -> AffineMap | None:
    """The map of a rescaling that is called once."""
    if not is_rescaling(layer) or layer.wrapper is not None or facts.graph.is_shared(layer.path):
        return None
    found = affine_map(facts.graph, layer)
    return None if found is None or np.max(np.abs(found.shift), initial=0.0) > _LARGEST_SHIFT else found


def _merged(facts: Facts, layer: LayerFacts, values: AffineMap) -> list[Edit]:
    """The layer with the one before it in it."""
    before = facts.sole_producer(layer.path)
    first = _map_of(facts, before) if before is not None else None
    if before is None or first is None or facts.graph.is_read_outside(before.path):
        return []
    if facts.graph.consumers(before.path) != (layer.path,) or len(facts.graph.nodes[layer.path].sources) != 1:
        return []
    both = values.after(first)
    return [Remove(before.path), _one_layer(layer, both)]


def _taken_up(facts: Facts, layer: LayerFacts, values: AffineMap) -> list[Edit]:
    if not _reads_floats(facts, layer):
        return []
    edits = taken_up_before(facts, layer.path, values) or taken_up_after(facts, layer.path, values)
    return [*edits, Remove(layer.path)] if edits else []


def _scales_only(facts: Facts, layer: LayerFacts, values: AffineMap) -> list[Edit]:
    if np.all(values.scale == 1.0) or np.any(values.scale == 0.0):
        return []
    edits = taken_up_after(facts, layer.path, AffineMap(values.scale, np.zeros_like(values.shift)))
    ones = np.ones_like(values.scale)
    return [*edits, _one_layer(layer, AffineMap(ones, values.shift / values.scale))] if edits else []


def _one_layer(layer: LayerFacts, values: AffineMap) -> Replace:
    config = {"scale": _numbers(values.scale), "offset": _numbers(values.shift)}
    return Replace(layer.path, LayerSpec(keras.layers.Rescaling, config))


def _numbers(vector: np.ndarray) -> float | list[float]:
    return float(vector[0]) if np.all(vector == vector[0]) else vector.tolist()


def _reads_floats(facts: Facts, layer: LayerFacts) -> bool:
    call = facts.graph.nodes[layer.path].call
    return call is not None and all(tensor.dtype.startswith(("float", "bfloat")) for tensor in call.inputs)
