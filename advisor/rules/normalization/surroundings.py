"""Where a normalization stands: what feeds it, what reads it, and how it is called."""

from __future__ import annotations

from collections.abc import Callable

from advisor.facts import Facts, Kind, LayerFacts
from advisor.graph import ModelGraph

_PASSED = frozenset({Kind.ACTIVATION, Kind.DROPOUT, Kind.MERGE, Kind.RESHAPE})
_DATA = frozenset({Kind.INPUT, Kind.PREPROCESSING, Kind.AUGMENTATION})
_FEATURE_VECTORS = frozenset({Kind.DENSE, Kind.EMBEDDING, Kind.ATTENTION, Kind.RECURRENT})


def origins(facts: Facts, layer: LayerFacts) -> frozenset[Kind]:
    """Kinds of the nearest layers before a normalization, past activations, dropout, merges and reshapes.

    Args:
        facts: What is known of the model.
        layer: A normalization; or a linear layer behind which one is to stand, which is then its own origin.
    """
    if layer.kind is not Kind.NORM:
        return frozenset({layer.kind})
    return _nearest(layer.path, facts, facts.graph.producers)


def reads_data(facts: Facts, layer: LayerFacts) -> bool:
    """Whether a normalization stands on the data itself, where each feature has a scale of its own."""
    return bool(found := origins(facts, layer)) and found <= _DATA


def on_feature_vectors(facts: Facts, layer: LayerFacts) -> bool:
    """Whether a place holds vectors of features, one per sample or step, rather than maps of channels."""
    found = origins(facts, layer)
    return layer.positions == 1 or (len(layer.output_shape) == 3 and bool(found) and found <= _FEATURE_VECTORS)


def on_recurrent_sequence(facts: Facts, layer: LayerFacts) -> bool:
    """Whether a place is on a sequence `(batch, time, features)` of recurrent layers.

    That is: straight behind a recurrent layer, straight before one (but not behind a convolution or the data, whose
    statistics over time are what is wanted), or anywhere between two.
    """
    if len(layer.output_shape) != 3 or not any(facts.of_kind(Kind.RECURRENT)):
        return False
    before = origins(facts, layer)
    if Kind.RECURRENT in before:
        return True
    if before & _FEATURE_VECTORS and Kind.RECURRENT in _nearest(layer.path, facts, facts.graph.consumers):
        return True
    return layer.path in facts.between_recurrent


def on_unmasked_padding(facts: Facts, layer: LayerFacts) -> bool:
    """Whether a place is on padded sequences whose mask does not reach it.

    Args:
        facts: What is known of the model.
        layer: A normalization; or a linear layer behind which one is to stand.
    """
    if len(layer.output_shape) < 3 or layer.positions == 1 or layer.masked:
        return False
    read = facts.graph.producers(layer.path) if layer.kind is Kind.NORM else (layer.path,)
    return any(path in facts.unmasked_padding for path in read)


def overridden_mode(facts: Facts, layer: LayerFacts) -> str:
    """What to say of a layer that is called with `training=False`; empty for any other.

    A functional model hands the `training=True` of `fit` to all its layers, whatever they were called with when it was
    put together: https://github.com/keras-team/keras/issues/20285.
    """
    if not _only_infers(facts.graph, layer.path):
        return ""
    return (
        " The `training=False` of its call is overridden by `fit`; freeze it (`trainable=False`) to keep it as it is."
    )


def stride_of(layer: LayerFacts) -> int:
    """The largest stride of one of Keras's convolutions or poolings; 1 where it is not known."""
    if not layer.is_of_keras:
        return 1
    strides = layer.config.get("strides", 1)
    return int(max(strides) if isinstance(strides, (tuple, list)) else strides)


def _nearest(path: str, facts: Facts, step: Callable[[str], tuple[str, ...]]) -> frozenset[Kind]:
    found: set[Kind] = set()
    seen: set[str] = set()
    frontier = list(step(path))
    while frontier:
        current = frontier.pop()
        if current in seen:
            continue
        seen.add(current)
        kind = facts[current].kind
        if kind in _PASSED:
            frontier.extend(step(current))
        else:
            found.add(kind)
    return frozenset(found)


def _only_infers(graph: ModelGraph, path: str) -> bool:
    """Whether every call of a layer, or of a nested model around it, is made with `training=False`."""
    return all(_call_infers(graph, call) for call in graph.calls_of(path))


def _call_infers(graph: ModelGraph, path: str) -> bool:
    node = graph.nodes[path]
    training = node.call.kwargs.get("training") if node.call is not None else None
    if training is not None:
        return training is False
    return bool(node.scope) and _only_infers(graph, node.scope)
