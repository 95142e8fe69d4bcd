"""Batch normalization frozen, or set free again."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from advisor.facts import Facts, LayerFacts
from advisor.graph import SetTrainable
from advisor.rewrite.rebuild import rebuild
from advisor.rewrite.recipes.targets import facts_of, first_calls, named


def freeze_batch_norm(model: keras.Model, *, layers: str | Iterable[str] | None = None) -> keras.Model:
    """Freeze batch normalization, so that it works as at inference while the model trains, too.

    A frozen layer normalizes with its moving averages, which stay, as do gamma and beta. That is what fine-tuning on
    few samples needs. `training=False` in the call is not enough: `fit` overrides it. Keras saves no flags of layers
    inside one that is written in Python: freeze those again after loading.

    Args:
        model: Sequential or Functional model; stays as it is.
        layers: Paths of batch normalizations, or of nested models and layers, in which all are meant; None means all of
            the model, those inside layers written in Python too.

    Returns:
        A new model that computes the same at inference; weights, compile state and all other flags as before.

    Raises:
        ValueError: If `layers` names a layer that is not there, or that neither is nor holds a batch normalization.
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> norm = keras.layers.BatchNormalization(name="norm")
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense"), norm])
    >>> frozen = freeze_batch_norm(model)
    >>> [variable.name for variable in frozen.trainable_variables]
    ['kernel', 'bias']

    References:
        Keras guide "Transfer learning & fine-tuning"; https://github.com/keras-team/keras/issues/20285.
    """
    return _with_flag(model, layers, trainable=False)


def unfreeze_batch_norm(model: keras.Model, *, layers: str | Iterable[str] | None = None) -> keras.Model:
    """Set frozen batch normalization free: it normalizes with the batch's statistics in training again, and learns.

    Args:
        model: Sequential or Functional model; stays as it is.
        layers: As in `freeze_batch_norm`.

    Returns:
        A new model that computes the same at inference; weights, compile state and all other flags as before.

    Raises:
        ValueError: As `freeze_batch_norm`.
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> norm = keras.layers.BatchNormalization(name="norm", trainable=False)
    >>> unfreeze_batch_norm(keras.Sequential([keras.Input((4,)), norm])).get_layer("norm").trainable
    True
    """
    return _with_flag(model, layers, trainable=True)


def _with_flag(model: keras.Model, layers: str | Iterable[str] | None, *, trainable: bool) -> keras.Model:
    facts = facts_of(model)
    norms = [norm for norm in _meant(facts, layers) if norm.trainable is not trainable]
    return rebuild(facts.graph, [SetTrainable(norm.path, trainable) for norm in first_calls(facts, norms)]).model


def _meant(facts: Facts, layers: str | Iterable[str] | None) -> list[LayerFacts]:
    norms = list(facts.batch_norms())
    if layers is None:
        return norms
    meant: dict[str, LayerFacts] = {}
    for path in named(facts, layers, "layers"):
        inside = [norm for norm in norms if any(_holds(path, call) for call in facts.graph.calls_of(norm.path))]
        if not inside:
            raise ValueError(f"`layers` must name batch normalizations, or what holds some. Received: `{path}`")
        meant.update({norm.path: norm for norm in inside})
    return list(meant.values())


def _holds(path: str, inner: str) -> bool:
    return f"{inner}/".startswith(f"{path}/")
