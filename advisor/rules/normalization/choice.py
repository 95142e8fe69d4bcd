"""The one decision of all normalization rules: which normalization fits a place."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras

import keras_normpack
from advisor.facts import Facts, LayerFacts
from advisor.graph import LayerSpec
from advisor.rules.normalization.batch_statistics import (
    PLAIN_MOMENTA,
    can_synchronize,
    is_noisy,
    settled_momentum,
)
from advisor.rules.normalization.image_translation import translates_images
from advisor.rules.normalization.surroundings import on_feature_vectors, on_recurrent_sequence, on_unmasked_padding

# Wu & He 2018, table 3: 32 groups did best.
GROUPS = 32
# A group with fewer values tells nothing of them but their order; with a single one it is zero.
SMALLEST_GROUP = 16
# Layer normalization takes two degrees of freedom from its features; of very few it leaves next to nothing.
NARROWEST_LAYER_NORM = 8
# Of a map of 4 × 4 or larger, mean and variance say something; of a single position, nothing is left.
SMALLEST_MAP = 16


class Choice(NamedTuple):
    """A normalization and why it fits."""

    spec: LayerSpec
    reason: str


def recommended_norm(facts: Facts, layer: LayerFacts) -> Choice | None:
    """The normalization that fits a place.

    Args:
        facts: What is known of model and run.
        layer: The linear layer behind which it is to stand, or the normalization whose place it is to take.

    Returns:
        The layer still to be made, and the reason; None where there are too few features, or their number is unknown.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts, TrainingFacts
    >>> from advisor.graph import read_graph
    >>> graph = read_graph(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(48, 3, name="conv")]))
    >>> for batch_size in (4, 64):
    ...     facts = gather_facts(graph, training=TrainingFacts(batch_size))
    ...     recommended_norm(facts, facts["conv"]).spec.code()
    'keras.layers.GroupNormalization(groups=16)'
    'keras.layers.BatchNormalization()'
    """
    if on_recurrent_sequence(facts, layer):
        return layer_norm(layer, "each step of a sequence is normalized on its own")
    if on_unmasked_padding(facts, layer):
        return layer_norm(layer, "each step is normalized on its own, and padding does not count")
    is_split_too_small = is_noisy(facts, layer)
    if is_split_too_small and (is_noisy(facts, layer, facts.training.batch_size) or not can_synchronize()):
        return batch_independent_norm(facts, layer)
    if layer.channels is None:
        return None
    arguments: dict[str, Any] = {**_axis(layer), **_momentum(facts)}
    if is_split_too_small:
        spec = LayerSpec(keras.layers.BatchNormalization, {**arguments, "synchronized": True})
        return Choice(spec, "the batches of all replicas together hold enough independent values")
    return Choice(
        LayerSpec(keras.layers.BatchNormalization, arguments),
        "a batch holds enough independent values",
    )


def batch_independent_norm(facts: Facts, layer: LayerFacts) -> Choice | None:
    """The normalization for a place where the statistics of a batch are too noisy.

    Args:
        facts: What is known of model and run.
        layer: As in `recommended_norm`.

    Returns:
        Layer normalization on feature vectors, instance normalization on the maps of a network that translates images,
        batch renormalization in others that make images of images, whose contrast statistics of each sample would take
        away (docs/adr/0025), group normalization elsewhere; there, for a mobile target, batch renormalization, which
        still folds into the layer before it. In the place of a trained batch normalization batch renormalization,
        which starts from its averages. None as in `recommended_norm`.
    """
    if layer.channels is None:
        return None
    if layer.is_batch_norm and facts.model.trained is not None:
        return _renormalization(layer, "it starts from the moving averages the model was trained to, and infers alike")
    if on_feature_vectors(facts, layer):
        return layer_norm(layer, "each sample is normalized by its own features")
    if has_instance_statistics(layer) and translates_images(facts):
        return instance_norm(layer)
    if facts.model.task == "image_to_image":
        return _renormalization(
            layer, "the statistics of the batch are corrected by the moving averages, and each image keeps its contrast"
        )
    if facts.target == "mobile":
        return _renormalization(
            layer, "the statistics of the batch are corrected by the moving averages, and it still folds"
        )
    return Choice(
        LayerSpec(keras.layers.GroupNormalization, {"groups": _groups(layer), **_axis(layer)}),
        "each sample is normalized by groups of its own channels",
    )


def layer_norm(layer: LayerFacts, reason: str) -> Choice | None:
    """Layer normalization over the features of a place; None where they are too few or their number is unknown."""
    if layer.channels is None or layer.channels < NARROWEST_LAYER_NORM:
        return None
    return Choice(LayerSpec(keras.layers.LayerNormalization, _axis(layer)), reason)


def _renormalization(layer: LayerFacts, reason: str) -> Choice:
    return Choice(LayerSpec(keras.layers.BatchNormalization, {**_axis(layer), "renorm": True}), reason)


def has_instance_statistics(layer: LayerFacts) -> bool:
    """Whether the maps of a place are large enough for statistics of their own; maps of unknown size count as large."""
    return len(layer.output_shape) == 4 and (layer.positions is None or layer.positions >= SMALLEST_MAP)


def instance_norm(layer: LayerFacts) -> Choice:
    """Instance normalization over the maps of a place."""
    return Choice(
        LayerSpec(keras_normpack.InstanceNormalization, _axis(layer)),
        "the contrast of each image is taken away, as translation wants it",
    )


def _axis(layer: LayerFacts) -> dict[str, int]:
    """The axis argument, where it is not the default: the last one."""
    return {} if layer.channel_axis == len(layer.output_shape) - 1 else {"axis": layer.channel_axis}


def _momentum(facts: Facts) -> dict[str, float]:
    """The momentum argument, where the moving averages of Keras's default could not follow."""
    steps = facts.training.total_steps
    if steps is None or settled_momentum(steps) == PLAIN_MOMENTA[0]:
        return {}
    return {"momentum": settled_momentum(steps)}


def _groups(layer: LayerFacts) -> int:
    """As many groups as divide the channels, up to 32, none of them too small."""
    assert layer.channels is not None
    groups = math.gcd(GROUPS, layer.channels)
    while groups > 1 and layer.positions is not None and layer.positions * layer.channels // groups < SMALLEST_GROUP:
        groups //= 2
    return groups
