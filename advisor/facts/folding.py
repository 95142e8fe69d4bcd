"""When a batch normalization can be folded into the weights of the layer before it."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import layers

from advisor.facts.facts import Facts
from advisor.facts.kinds import Kind, core_layer
from advisor.facts.layer_facts import LINEAR_KINDS, LayerFacts
from advisor.graph.keras_internals import wrapped_layers

# Exact classes: a subclass may compute something else from the same kernel.
_FOLDABLE = {
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.Dense,
}


class Folding(NamedTuple):
    """Whether a batch normalization folds: exactly one of the two is None.

    Attributes:
        linear: Path of the layer that takes it up.
        reason: Why there is no such layer.
    """

    linear: str | None
    reason: str | None


def foldable_into(facts: Facts, path: str) -> Folding:
    """The layer whose weights can take up a batch normalization, at inference.

    `γ · (W·x + b − μ) / √(σ² + ε) + β` is the linear layer `(s·W)·x + (s·(b − μ) + β)` with `s = γ / √(σ² + ε)`, if the
    normalization reads a linear layer directly, along the same channel axis, and nothing else reads that layer.
    A layer called several times folds when every call of either layer belongs to such a pair.

    Args:
        facts: What is known of the model.
        path: Path of a call of the batch normalization.

    Returns:
        The path of the linear layer, or the reason why there is none.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> conv, norm = keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization(name="norm")
    >>> foldable_into(gather_facts(read_graph(keras.Sequential([keras.Input((8, 8, 3)), conv, norm]))), "norm")
    Folding(linear='conv', reason=None)

    References:
        Jacob et al. 2018, arXiv:1712.05877, section 3.2.
    """
    graph = facts.graph
    calls = graph.calls_of(path)
    producers = {call: facts.sole_producer(call) for call in calls}
    for call, producer in producers.items():
        if graph.nodes[call].call is None:
            return Folding(None, "what it reads is not known")
        if producer is None:
            return Folding(None, "it reads the outputs of several layers")
        reason = _unfit_call(facts, call) or _unfit_producer(facts, producer) or _unfit_axis(facts[call], producer)
        if reason:
            return Folding(None, reason)
    linear = producers[path]
    assert linear is not None
    linear_calls = set(graph.calls_of(linear.path))
    if any(producer is not None and producer.path not in linear_calls for producer in producers.values()):
        return Folding(None, "it is shared between several layers")
    if any(graph.is_output(call) or set(graph.consumers(call)) - set(calls) for call in linear_calls):
        return Folding(None, "the layer before it is read by others too")
    return Folding(linear.path, None)


def _unfit_call(facts: Facts, path: str) -> str | None:
    call = facts.graph.nodes[path].call
    if call is not None and call.kwargs.get("training"):
        return "it is called with `training=True`"
    return None


def _unfit_producer(facts: Facts, producer: LayerFacts) -> str | None:
    if producer.kind is Kind.ACTIVATION:
        return "it stands after an activation"
    if producer.kind not in LINEAR_KINDS:
        return "it does not stand directly after a convolution or dense layer"
    if producer.activation is not None:
        return "it stands after an activation"
    operation = facts.graph.nodes[producer.path].operation
    if producer.cls not in _FOLDABLE or _is_reparameterized(operation) or _is_adapted(operation):
        return "the layer before it computes its weights in its own way"
    return None


def _is_reparameterized(operation: Any) -> bool:
    """Whether a wrapper stands between the layer and its weights; `TimeDistributed` does not."""
    inner = wrapped_layers(operation)
    return bool(inner) and not (isinstance(operation, layers.TimeDistributed) and not wrapped_layers(inner[0]))


def _is_adapted(operation: Any) -> bool:
    """Whether a layer computes with more than its kernel: with scales of quantized values, or a low-rank update."""
    layer = core_layer(operation)
    return getattr(layer, "quantization_mode", None) is not None or bool(getattr(layer, "lora_enabled", False))


def _unfit_axis(norm: LayerFacts, linear: LayerFacts) -> str | None:
    if norm.channel_axis != linear.channel_axis:
        return f"its axis {norm.channel_axis} is not the channel axis {linear.channel_axis} of the layer before it"
    return None
