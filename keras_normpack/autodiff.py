"""Outputs and gradients of a function, on every backend; for the conformance checks and the advisor's probes."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


def outputs_and_gradients(
    function: Callable[..., Any], arguments: Sequence[Any], cotangent: Any
) -> tuple[Any, list[np.ndarray]]:
    """Calls a function and differentiates its first output.

    Args:
        function: Takes the arguments as tensors and returns a tensor, or a tuple whose first entry is differentiated.
        arguments: Tensors, differentiated to one by one.
        cotangent: Gradient that comes from above, of the shape and dtype of the first output.

    Returns:
        What the function returned, and one gradient per argument, in its dtype.

    Raises:
        NotImplementedError: If the current backend cannot differentiate.
        ValueError: If no gradient reaches an argument.
    """
    outputs, gradients = _differentiated(function, arguments, cotangent)
    lost = [position for position, gradient in enumerate(gradients) if gradient is None]
    if lost:
        raise ValueError(f"Expected a gradient to every argument. Received: none to the arguments at positions {lost}")
    return outputs, [ops.convert_to_numpy(gradient) for gradient in gradients]


def value_and_gradients(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[float, list[np.ndarray]]:
    """Calls a function that gives one number, and differentiates that.

    Args:
        function: Takes the arguments as tensors and returns a scalar tensor.
        arguments: Tensors, differentiated to one by one.

    Returns:
        The number, and one gradient per argument; zeros where the number does not depend on it.

    Raises:
        NotImplementedError: If the current backend cannot differentiate.

    Example:
    >>> from keras import ops
    >>> value, gradients = value_and_gradients(lambda x, y: ops.sum(x * x), [ops.ones(2), ops.ones(1)])
    >>> value, [gradient.tolist() for gradient in gradients]
    (2.0, [[2.0, 2.0], [0.0]])
    """
    value, gradients = _differentiated(function, arguments, ops.ones((), dtype="float32"))
    return float(ops.convert_to_numpy(value)), [
        np.zeros(argument.shape, dtype="float32") if gradient is None else ops.convert_to_numpy(gradient)
        for argument, gradient in zip(arguments, gradients, strict=True)
    ]


def _differentiated(function: Callable[..., Any], arguments: Sequence[Any], cotangent: Any) -> tuple[Any, Any]:
    backend = keras.backend.backend()
    if backend not in _DIFFERENTIATE:
        raise NotImplementedError(f"Expected one of the backends {sorted(_DIFFERENTIATE)}. Received: {backend!r}")
    return _DIFFERENTIATE[backend](function, list(arguments), cotangent)


def _first(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, tuple) else outputs


def _tensorflow(function: Callable[..., Any], arguments: list[Any], cotangent: Any) -> tuple[Any, Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(arguments)
        outputs = function(*arguments)
    return outputs, tape.gradient(_first(outputs), arguments, output_gradients=cotangent)


def _jax(function: Callable[..., Any], arguments: list[Any], cotangent: Any) -> tuple[Any, Any]:
    import jax

    _, pull_back = jax.vjp(lambda *values: _first(function(*values)), *arguments)
    return function(*arguments), pull_back(cotangent)


def _torch(function: Callable[..., Any], arguments: list[Any], cotangent: Any) -> tuple[Any, Any]:
    import torch

    leaves = [argument.detach().requires_grad_() for argument in arguments]
    outputs = function(*leaves)
    return outputs, torch.autograd.grad(_first(outputs), leaves, grad_outputs=cotangent, allow_unused=True)


_DIFFERENTIATE = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
