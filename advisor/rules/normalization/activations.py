"""Taking an activation from where it stands, to put it elsewhere."""

from __future__ import annotations

from keras import layers

from advisor.facts import Facts, Kind, LayerFacts
from advisor.graph import LayerSpec

# Operations of `keras.ops` whose name alone says what they do.
_PLAIN_OPERATIONS = frozenset({"relu", "relu6", "sigmoid", "silu", "softplus", "softsign", "tanh"})


def fused_activation(linear: LayerFacts) -> LayerSpec | None:
    """The activation inside a linear layer, as a layer of its own; None where it is the user's own function."""
    function = linear.config.get("activation")
    return LayerSpec(layers.Activation, {"activation": function}) if isinstance(function, str) else None


def moved_activation(facts: Facts, activation: LayerFacts) -> LayerSpec | None:
    """A layer like an activation of the graph; None for operations whose arguments are not known.

    It has the name of the original, unless others still call that.
    """
    if not facts.graph.nodes[activation.path].is_layer:
        name = activation.activation
        return LayerSpec(layers.Activation, {"activation": name}) if name in _PLAIN_OPERATIONS else None
    nameless = facts.graph.is_shared(activation.path)
    return LayerSpec(
        activation.cls, {key: value for key, value in activation.config.items() if not (nameless and key == "name")}
    )


def activation_behind(facts: Facts, linear: LayerFacts) -> str | None:
    """The activation of a linear layer: its own, or that of a layer behind it, past normalization and dropout.

    Args:
        facts: What is known of the model.
        linear: A convolution or dense layer.

    Returns:
        The name, as `LayerFacts.activation` gives it; None where there is none, or where several layers read what comes
        before it.
    """
    layer: LayerFacts | None = linear
    while layer is not None and layer.activation is None:
        layer = facts.sole_consumer(layer.path)
        if layer is not None and layer.kind not in (Kind.NORM, Kind.DROPOUT, Kind.ACTIVATION):
            return None
    return None if layer is None else layer.activation
