"""The mean that layer normalization takes off, taken off by the linear layer before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from keras import layers

import keras_normpack
from advisor.facts import Facts, LayerFacts
from advisor.facts.folding import linear_layers_before
from advisor.facts.kinds import core_layer, works_by_itself
from advisor.graph import Edit, LayerSpec, ReadVariable, Replace
from advisor.litert.forms.centered_layer_normalization import CenteredLayerNormalization
from advisor.rewrite.recipes.absorbing import with_centered_output

_LAYER_NORMS = (layers.LayerNormalization, keras_normpack.LayerNormalization)


def centering_folds(facts: Facts) -> Iterator[list[Edit]]:
    """For each layer normalization directly behind a linear layer, the edits that take the mean off in that layer.

    With `W ← W − mean(W)` and `b ← b − mean(b)` over the output channels, computed in float64, the outputs have
    the mean 0; layer normalization would have taken it off as well, and takes off nothing else.

    Args:
        facts: What is known of the model.
    """
    for norm in facts.layers.values():
        if not facts.graph.is_first_call(norm.path) or not _normalizes_channels(facts, norm):
            continue
        folding = linear_layers_before(facts, norm.path)
        if len(folding.takers) != 1 or not folding.is_direct or not folding.takers[0].is_baked:
            continue
        linear = facts[folding.takers[0].path]
        if _mixes_all_channels(linear):
            yield [with_centered_output(linear), _centered(norm)]


def _mixes_all_channels(linear: LayerFacts) -> bool:
    """Whether every output channel is made of all inputs, so that the mean of kernels is the kernel of the mean."""
    return not linear.cls.__name__.startswith("Depthwise") and linear.config.get("groups", 1) == 1


def _normalizes_channels(facts: Facts, norm: LayerFacts) -> bool:
    operation = facts.graph.nodes[norm.path].operation
    own = core_layer(operation)
    if norm.cls not in _LAYER_NORMS or norm.wrapper is not None or not works_by_itself(operation) or own.rms_scaling:
        return False
    axes = own.axis if isinstance(own.axis, list) else [own.axis]
    return [axis % len(norm.output_shape) for axis in axes] == [norm.channel_axis]


def _centered(norm: LayerFacts) -> Replace:
    kept = ("name", "axis", "epsilon", "center", "scale", "dtype", "trainable")

    def values(read: ReadVariable) -> Mapping[str, np.ndarray]:
        found = {name: read(norm.path, name) for name in ("gamma", "beta")}
        return {name: value for name, value in found.items() if value is not None}

    return Replace(norm.path, LayerSpec(CenteredLayerNormalization, {key: norm.config[key] for key in kept}), values)
