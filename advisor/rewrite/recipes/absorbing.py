"""A linear layer that takes up a map per channel, `x → s · x + t`: the mathematics, in float64, and the edit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from advisor.facts import Facts, LayerFacts
from advisor.facts.affine_maps import AffineMap
from advisor.facts.folding import Taker
from advisor.graph import Configure, ReadVariable

Kernels = dict[str, np.ndarray]


def with_mapped_output(facts: Facts, taker: Taker, values: AffineMap) -> Configure:
    """The linear layer and the map after it as one: `W ← s · W`, `b ← s · b + t`.

    Args:
        facts: What is known of the model.
        taker: The linear layer.
        values: The map.

    Returns:
        The edit of the layer.
    """
    linear = facts[taker.path]
    own = values.of_channels(taker.channels)

    def weights(kernels: Kernels, bias: Any) -> tuple[Kernels, Any]:
        return _scaled_outputs(linear, kernels, own.scale), own.scale * bias + own.shift

    return _edit(linear, weights, adds=bool(np.any(own.shift)))


def with_mapped_input(facts: Facts, taker: Taker, values: AffineMap) -> Configure:
    """The map and the linear layer after it as one: `W ← W · s`, `b ← W · t + b`; arguments as above."""
    linear = facts[taker.path]
    own = values.of_channels(taker.channels)

    def weights(kernels: Kernels, bias: Any) -> tuple[Kernels, Any]:
        return _scaled_inputs(linear, kernels, own.scale), _response(linear, kernels, own.shift) + bias

    return _edit(linear, weights, adds=bool(np.any(own.shift)))


def with_centered_output(linear: LayerFacts) -> Configure:
    """A linear layer whose outputs have the mean 0 over the channels: `W ← W − mean(W)`, `b ← b − mean(b)`.

    Args:
        linear: The layer; not a depthwise one, whose channels do not mix.

    Returns:
        The edit of the layer.
    """
    axis = -2 if linear.cls.__name__.endswith("Transpose") else -1

    def weights(kernels: Kernels, bias: Any) -> tuple[Kernels, Any]:
        *rest, (name, kernel) = kernels.items()
        return {**dict(rest), name: kernel - kernel.mean(axis=axis, keepdims=True)}, bias - np.mean(bias)

    return _edit(linear, weights, adds=False)


def _edit(linear: LayerFacts, weights: Callable[[Kernels, Any], tuple[Kernels, Any]], *, adds: bool) -> Configure:
    has_bias = adds or linear.has_bias

    def values(read: ReadVariable) -> dict[str, np.ndarray]:
        found = {name: read(linear.path, name) for name in (*_kernel_names(linear), "bias")}
        wide = {name: value.astype(np.float64) for name, value in found.items() if value is not None}
        kernels, bias = weights({name: wide[name] for name in _kernel_names(linear)}, wide.get("bias", 0.0))
        return {**kernels, "bias": bias} if has_bias else kernels

    return Configure(linear.path, {"use_bias": has_bias}, values)


def _kernel_names(linear: LayerFacts) -> tuple[str, ...]:
    is_separable = linear.cls.__name__.startswith("Separable")
    return ("depthwise_kernel", "pointwise_kernel") if is_separable else ("kernel",)


def _scaled_outputs(linear: LayerFacts, kernels: Kernels, scale: np.ndarray) -> Kernels:
    *rest, (name, kernel) = kernels.items()
    class_name = linear.cls.__name__
    if class_name.startswith("Depthwise"):
        # (…, channels, multiplier): output channel c·multiplier + m.
        scale = scale.reshape(kernel.shape[-2:])
    elif class_name.endswith("Transpose"):
        # (…, filters, channels).
        scale = scale[:, None]
    return {**dict(rest), name: kernel * scale}


def _scaled_inputs(linear: LayerFacts, kernels: Kernels, scale: np.ndarray) -> Kernels:
    (name, kernel), *rest = kernels.items()
    return {name: kernel * _by_input(linear, kernel, scale), **dict(rest)}


def _by_input(linear: LayerFacts, kernel: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Numbers per input channel, such that they broadcast over a kernel."""
    class_name = linear.cls.__name__
    if class_name.endswith("Transpose"):
        return numbers
    if class_name.startswith(("Depthwise", "Separable", "Dense")):
        return numbers[:, None]
    # (…, channels of a group, filters): every group of filters reads its own channels.
    groups = len(numbers) // kernel.shape[-2]
    return np.repeat(numbers.reshape(groups, -1), kernel.shape[-1] // groups, axis=0).T


def _response(linear: LayerFacts, kernels: Kernels, inputs: np.ndarray) -> np.ndarray:
    """What a linear layer makes of inputs that are the same at all positions."""
    (_, kernel), *pointwise = kernels.items()
    products = kernel * _by_input(linear, kernel, inputs)
    space = tuple(range(kernel.ndim - 2))
    if linear.cls.__name__.startswith(("Depthwise", "Separable")):
        response = products.sum(axis=space).reshape(-1)
    elif linear.cls.__name__.endswith("Transpose"):
        response = products.sum(axis=(*space, kernel.ndim - 1))
    else:
        response = products.sum(axis=(*space, kernel.ndim - 2))
    for _, mixing in pointwise:
        response = response @ mixing.reshape(mixing.shape[-2:])
    return response
