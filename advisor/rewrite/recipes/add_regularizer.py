"""Weight penalties on layers that have none."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from advisor.facts import LINEAR_KINDS, Kind, LayerFacts
from advisor.graph import Configure
from advisor.rewrite.rebuild import rebuild
from advisor.rewrite.recipes.targets import chosen, facts_of, first_calls

_REGULARIZED = ("kernel_regularizer", "depthwise_regularizer", "pointwise_regularizer")
_KINDS = LINEAR_KINDS | {Kind.RECURRENT}


def add_regularizer(
    model: keras.Model,
    regularizer: str | keras.regularizers.Regularizer = "l2",
    *,
    layers: str | Iterable[str] | None = None,
) -> keras.Model:
    """Penalize kernels; biases, scales and shifts are left alone, as He et al. 2019 (section 3.1) recommend.

    Args:
        model: Sequential or Functional model; stays as it is.
        regularizer: What `kernel_regularizer` takes: a name or a `keras.regularizers.Regularizer`.
        layers: Paths of the layers; None means every convolution, dense and recurrent layer without a penalty.

    Returns:
        A new model, weights as before, the penalties bound to its variables.

    Raises:
        ValueError: If `layers` names a layer that is not there or has no kernel.
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, name="dense")])
    >>> len(model.losses), len(add_regularizer(model, keras.regularizers.L2(1e-4)).losses)
    (0, 1)
    """
    penalty = keras.regularizers.get(regularizer)
    facts = facts_of(model)
    targets = chosen(facts, layers, lambda layer: bool(_arguments(layer)) and not layer.has_penalty, "layers")
    edits = [Configure(target.path, _changes(target, penalty)) for target in first_calls(facts, targets)]
    return rebuild(facts.graph, edits).model


def _changes(layer: LayerFacts, penalty: keras.regularizers.Regularizer) -> dict[str, object]:
    names = _arguments(layer)
    if not names:
        raise ValueError(
            "`layers` must name layers with a kernel: convolutions, dense and recurrent ones. Received: "
            f"`{layer.path}` ({layer.cls.__name__})"
        )
    return dict.fromkeys(names, keras.regularizers.serialize(penalty))


def _arguments(layer: LayerFacts) -> list[str]:
    """The arguments of the layer that penalize kernels; none for an `RNN`, whose cells have them."""
    return [name for name in _REGULARIZED if name in layer.config] if layer.kind in _KINDS else []
