"""Batch normalization folded into the weights before it, for inference."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from advisor.facts import LayerFacts
from advisor.facts.folding import foldable_into
from advisor.graph import Configure, Edit, ReadVariable, Remove, WeightRule
from advisor.rewrite.rebuild import rebuild
from advisor.rewrite.recipes.targets import facts_of


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Fold every batch normalization that directly follows a linear layer into that layer.

    With `s = γ / √(σ² + ε)`, `W ← s · W` and `b ← β + s · (b − μ)`, computed in float64. The result computes the same
    at inference and must not be trained. Normalizations that cannot be folded stay.

    Args:
        model: Sequential or Functional model; stays as it is.

    Returns:
        A new model.

    Raises:
        RewriteError: If the model cannot be rewritten.

    Example:
    >>> import keras
    >>> model = keras.Sequential(
    ...     [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization()]
    ... )
    >>> [layer.name for layer in fold_batch_norm(model).layers]
    ['conv']

    References:
        Jacob et al. 2018, arXiv:1712.05877, section 3.2.
    """
    facts = facts_of(model)
    edits: list[Edit] = []
    for norm in facts.batch_norms():
        linear = foldable_into(facts, norm.path).linear
        if linear is not None and not facts.graph.refusal(norm.path):
            edits.append(Configure(linear, {"use_bias": True}, _folded(facts[linear], norm)))
            edits.extend(Remove(call) for call in facts.graph.calls_of(norm.path))
    return rebuild(facts.graph, edits).model


def _folded(linear: LayerFacts, norm: LayerFacts) -> WeightRule:
    epsilon = norm.config["epsilon"]
    kernel_name, channels_of = _output_channels(linear)

    def values(read: ReadVariable) -> dict[str, np.ndarray]:
        def wide(path: str, name: str) -> Any:
            value = read(path, name)
            return None if value is None else value.astype(np.float64)

        mean, variance = wide(norm.path, "moving_mean"), wide(norm.path, "moving_variance")
        gamma, beta, bias = wide(norm.path, "gamma"), wide(norm.path, "beta"), wide(linear.path, "bias")
        scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + epsilon)
        kernel = wide(linear.path, kernel_name)
        shift = (0.0 if beta is None else beta) + scale * ((0.0 if bias is None else bias) - mean)
        return {kernel_name: kernel * channels_of(scale, kernel.shape), "bias": shift}

    return values


def _output_channels(linear: LayerFacts) -> tuple[str, Any]:
    """Which variable makes the output channels, and how a vector of them broadcasts over it."""
    name = linear.cls.__name__
    if name.startswith("Separable"):
        return "pointwise_kernel", lambda scale, shape: scale
    if name.startswith("Depthwise"):
        # (height, width, channels, multiplier): output channel c·multiplier + m.
        return "kernel", lambda scale, shape: scale.reshape(shape[-2:])
    if name.endswith("Transpose"):
        # (height, width, filters, channels).
        return "kernel", lambda scale, shape: scale[:, None]
    return "kernel", lambda scale, shape: scale
