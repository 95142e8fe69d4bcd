"""Functions with a forward and a backward pass of their own."""

from collections.abc import Callable
from typing import Any

import jax


def differentiable(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """Joins a forward and a backward pass into one function, see `kernels.passes`.

    Args:
        forward: Takes the arguments; returns the outputs, of which the first is differentiated, and what the backward
            pass shall have of it.
        backward: Takes the gradient of the first output, the arguments and what the forward pass kept; returns one
            gradient per argument.

    Returns:
        A function of the arguments that returns the outputs. It is differentiable twice in reverse mode, as both passes
        are made of differentiable operations.
    """

    @jax.custom_vjp
    def operation(*arguments: Any) -> Any:
        outputs, _ = forward(*arguments)
        return outputs

    def run_forward(*arguments: Any) -> Any:
        outputs, kept = forward(*arguments)
        return outputs, (arguments, kept)

    def run_backward(saved: Any, cotangents: Any) -> Any:
        arguments, kept = saved
        return tuple(backward(cotangents[0], *arguments, *kept))

    operation.defvjp(run_forward, run_backward)
    return jax.jit(operation)
