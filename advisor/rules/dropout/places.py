"""Which layers are dropout, and where in a head dropout does no harm."""

from __future__ import annotations

from collections.abc import Collection

from keras import layers

from advisor.facts import Facts, Head, Kind, LayerFacts
from advisor.graph import LayerSpec

_DROPOUTS = (layers.Dropout, layers.AlphaDropout, layers.GaussianDropout)

# Between a dropout and the linear layer it is meant for, these may stand without changing that.
_PASSED = frozenset({Kind.DROPOUT, Kind.ACTIVATION, Kind.RESHAPE, Kind.POOLING})


def rate_of(layer: LayerFacts) -> float | None:
    """The rate of a dropout layer; None for any other layer, additive noise included."""
    if layer.kind is Kind.DROPOUT and issubclass(layer.cls, _DROPOUTS):
        return float(layer.config["rate"])
    return None


def is_active(layer: LayerFacts) -> bool:
    """Whether it is a dropout with a rate above 0."""
    return bool(rate_of(layer))


def drops_features(layer: LayerFacts) -> bool:
    """Whether it zeroes elements or channels; stochastic depth, which zeroes whole samples, does not count."""
    if not (is_active(layer) and issubclass(layer.cls, layers.Dropout)):
        return False
    noise_shape = layer.config.get("noise_shape")
    return noise_shape is None or any(size != 1 for size in noise_shape[1:])


def dropout_before(facts: Facts, linear: str, besides: Collection[str] = ()) -> bool:
    """Whether an active dropout already works on what a linear layer reads, those in `besides` left out."""
    layer = facts.sole_producer(linear)
    while layer is not None and layer.kind in _PASSED:
        if is_active(layer) and layer.path not in besides:
            return True
        layer = facts.sole_producer(layer.path)
    return False


def takes_dropout(facts: Facts, head: Head) -> bool:
    """Whether dropout may stand before the last linear layer of a head: one call of it, and no norm after it."""
    if head.linear is None or facts.graph.is_shared(head.linear):
        return False
    return not any(facts[path].kind is Kind.NORM for path in facts.graph.downstream(head.linear))


def moved(facts: Facts, dropout: LayerFacts, linear: str) -> LayerSpec:
    """The dropout as it stands before a linear layer: under its own name, made for the rank of the data there."""
    keeps_class = dropout.wrapper is None and len(dropout.input_shapes[0]) == len(facts[linear].input_shapes[0])
    if not keeps_class:
        return LayerSpec(layers.Dropout, {"rate": rate_of(dropout)})
    nodes = facts.graph.nodes
    keeps_name = nodes[dropout.path].scope == nodes[linear].scope and not facts.graph.is_shared(dropout.path)
    left_out = set() if keeps_name else {"name"}
    return LayerSpec(dropout.cls, {key: value for key, value in dropout.config.items() if key not in left_out})
