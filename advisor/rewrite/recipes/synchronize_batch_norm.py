"""Batch normalization over all replicas of a distribution strategy."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from advisor.facts import LayerFacts
from advisor.rewrite.rebuild import rebuild
from advisor.rewrite.recipes.targets import chosen, facts_of, first_calls
from advisor.rules.normalization.batch_statistics import can_synchronize
from advisor.rules.normalization.replacement import synchronizing


def synchronize_batch_norm(model: keras.Model, *, layers: str | Iterable[str] | None = None) -> keras.Model:
    """Let batch normalization average over the batches of all replicas, as it would on a single device.

    Inference stays as it is. In training, mean and variance are those of the whole batch instead of one replica's
    share (`synchronized=True`). Where a mask reaches a layer, `keras_normpack.BatchNormalization` takes its place, as
    Keras's does not synchronize there.

    Args:
        model: Sequential or Functional model; stays as it is.
        layers: Paths of the layers; None means every batch normalization but those with ghost batches.

    Returns:
        A new model, weights as before, made for the same replicas.

    Raises:
        ValueError: If `layers` names a layer that is not there, is no batch normalization or has ghost batches
            (`virtual_batch_size`), or the backend is not TensorFlow, the only one Keras synchronizes on.
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(name="norm")])
    >>> synchronize_batch_norm(model).get_layer("norm").synchronized
    True

    Source:
        Wu & He 2018, arXiv:1803.08494, section 4.1, on batches per replica.
    """
    if not can_synchronize():
        raise ValueError(
            "Keras synchronizes batch normalization with the TensorFlow backend only; "
            "`replace_norm(model, keras.layers.GroupNormalization)` does without the batch. "
            f"Received: backend {keras.backend.backend()!r}"
        )
    facts = facts_of(model)
    targets = chosen(facts, layers, _can_be_synchronized, "layers")
    for target in targets:
        if not _can_be_synchronized(target):
            raise ValueError(
                "`layers` must name batch normalizations without `virtual_batch_size`. "
                f"Received: `{target.path}` ({target.cls.__name__})"
            )
    edits = [synchronizing(target) for target in first_calls(facts, targets) if not target.is_synchronized]
    return rebuild(facts.graph, edits).model


def _can_be_synchronized(layer: LayerFacts) -> bool:
    return layer.is_batch_norm and not layer.config.get("virtual_batch_size")
