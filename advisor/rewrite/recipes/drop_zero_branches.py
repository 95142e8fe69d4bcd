"""Branches that add nothing, taken out for inference."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np

from advisor.facts import Facts, Kind, LayerFacts
from advisor.facts.affine_maps import affine_map
from advisor.facts.commuting import only_trains
from advisor.facts.folding import plain_weights
from advisor.graph import Edit, Remove
from advisor.rewrite.recipes.settling import at_once, settled

_ZERO_AT_ZERO = frozenset(
    {"linear", "relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "swish", "hard_silu"}
    | {"tanh", "hard_tanh", "softsign", "mish", "celu", "tanh_shrink", "soft_shrink", "hard_shrink"}
)


def drop_zero_branches(model: keras.Model) -> keras.Model:
    """Take out residual branches that are multiplied by zeros: `x + 0` becomes `x`.

    A branch is zero behind a `LayerScale`, a batch normalization or a linear layer all of whose weights are exactly 0,
    as training with pruning or a start from zero leaves them. Branches are looked at for finite values: what would be
    0 times infinity is no longer computed.

    Args:
        model: Sequential or Functional model; stays as it is.

    Returns:
        A new model that computes the same at inference, without the layers of these branches.

    Raises:
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> x = keras.Input((4,))
    >>> branch = keras.layers.Dense(4, kernel_initializer="zeros", name="branch")(x)
    >>> model = keras.Model(x, keras.layers.Dense(2, name="head")(keras.layers.Add()([x, branch])))
    >>> [layer.name for layer in drop_zero_branches(model).layers[1:]]
    ['head']
    """
    return settled(model, lambda facts: at_once(facts, zero_branches(facts)))


def zero_branches(facts: Facts) -> Iterator[list[Edit]]:
    """For each sum with a branch of zeros, the edit that leaves the other one."""
    zeros: set[str] = set()
    for layer in facts.layers.values():
        if _is_zero(facts, layer, zeros):
            zeros.add(layer.path)
    for layer in facts.layers.values():
        kept = _other_addend(facts, layer, zeros)
        if kept is not None:
            yield [Remove(layer.path, kept)]


def _is_zero(facts: Facts, layer: LayerFacts, zeros: set[str]) -> bool:
    """Whether all values of a layer are 0, given the layers before it that are."""
    values = affine_map(facts.graph, layer)
    if values is not None and not np.any(values.scale) and not np.any(values.shift):
        return True
    weights = plain_weights(facts, layer)
    if weights is not None:
        kernels, bias = weights
        is_zero = any(not np.any(kernel) for kernel in kernels) and (bias is None or not np.any(bias))
        return is_zero and layer.activation in (None, *_ZERO_AT_ZERO)
    producers = facts.graph.producers(layer.path)
    if not producers or not all(producer in zeros for producer in producers):
        return False
    if layer.kind is Kind.ACTIVATION:
        return layer.activation in _ZERO_AT_ZERO
    return layer.is_of_keras and (layer.kind in (Kind.POOLING, Kind.RESHAPE) or only_trains(layer))


def _other_addend(facts: Facts, layer: LayerFacts, zeros: set[str]) -> int | None:
    """Which of the two inputs of a sum stands for it, as the other one is zero."""
    node = facts.graph.nodes[layer.path]
    sources = facts.graph.sources(layer.path)
    # What a configuration holds can be exchanged for a layer of as many inputs only.
    if layer.cls.__name__ != "Add" or facts.graph.scopes[node.scope].refusal or len(node.sources) != 2:
        return None
    if not (layer.is_of_keras or not node.is_layer) or len(sources) != 2:
        return None
    for zero, kept in ((0, 1), (1, 0)):
        if sources[zero].path in zeros and layer.input_shapes[kept] == layer.output_shape:
            return kept
    return None
