"""What the layers that lose most in a quantized model call for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from advisor.export.diagnosis import worst
from advisor.export.layer_errors import LayerError
from advisor.facts import Facts, LayerFacts, gather_facts
from advisor.facts.kinds import Kind
from advisor.graph import read_graph
from advisor.rules.export.e705_activation_hard_to_quantize import REPLACEMENTS

LOSES = 0.02
"""A layer whose own share of the error is smaller calls for nothing."""
UNEQUAL_RANGES = 100.0
LAYERS_LOOKED_AT = 5


def quantization_advice(model: keras.Model, errors: Sequence[LayerError]) -> tuple[str, ...]:
    """Advice on the layers that lose most.

    Args:
        model: The prepared model.
        errors: What its layers lose.

    Returns:
        One sentence per layer and reason, the worst layer first; none where no layer loses much.
    """
    losing = [error for error in worst(errors, LAYERS_LOOKED_AT) if (error.added or 0.0) > LOSES]
    if not losing:
        return ()
    facts = gather_facts(read_graph(model))
    layers = [(error, facts.layers[error.layer]) for error in losing if error.layer in facts.layers]
    return tuple(line for error, layer in layers for line in _reasons(facts, layer, error))


def _reasons(facts: Facts, layer: LayerFacts, error: LayerError) -> list[str]:
    loses = f"`{layer.path}` adds {100 * (error.added or 0.0):.2g}%"
    lines = []
    if layer.activation in REPLACEMENTS:
        lines.append(
            f"E705: {loses} and applies {layer.activation}; a model that is to run in int8 is better trained with "
            f"{REPLACEMENTS[layer.activation]}"
        )
    # An activation that is computed together with the layer before it stands for both.
    before = facts.producers(layer.path) if layer.kind is Kind.ACTIVATION else ()
    for depthwise in (one for one in (layer, *before) if one.kind is Kind.DEPTHWISE):
        ratio = channel_range_ratio(facts.graph.nodes[depthwise.path].operation)
        if ratio > UNEQUAL_RANGES:
            lines.append(
                f"{loses}: the kernels of the channels of `{depthwise.path}` differ by a factor of {ratio:.0f} in "
                "range, and all channels of an output share one scale; equalize them across layers, or train "
                "quantization-aware"
            )
    if layer.activation == "softmax":
        lines.append(
            f"{loses}: probabilities in int8 come in steps of 1/256; export the logits and take the softmax in the app "
            "where small ones matter"
        )
    elif any(head.linear == layer.path for head in facts.model.heads):
        lines.append(
            f"{loses} and gives the output: one scale of 256 steps covers all of it; rescale what it is trained to "
            "give, or export with quantize='dynamic'"
        )
    return lines


def channel_range_ratio(layer: Any) -> float:
    """Largest by smallest magnitude of a depthwise kernel's channels; channels of zeros are left out.

    Args:
        layer: A depthwise convolution.

    Returns:
        The ratio, at least 1.
    """
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    ranges = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 2))).ravel()
    ranges = ranges[ranges > 0]
    return float(ranges.max() / ranges.min()) if ranges.size else 1.0
