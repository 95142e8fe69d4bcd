"""Functions with a forward and a backward pass of their own, each compiled by XLA."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Tensors = tuple[Any, ...]


def differentiable(
    forward: Callable[..., tuple[Tensors, Tensors]], backward: Callable[..., Tensors]
) -> Callable[..., Tensors]:
    """Joins a forward and a backward pass into one function, see `kernels.passes`.

    Args:
        forward: Takes the arguments; returns the outputs, of which the first is differentiated, and what the backward
            pass shall have of it.
        backward: Takes the gradient of the first output, the arguments and what the forward pass kept; returns one
            gradient per argument.

    Returns:
        A function of the arguments that returns the outputs. It is differentiable twice: for the second time, the
        compiled passes are differentiated as TensorFlow differentiates any code.
    """
    compiled_forward = tf.function(forward, jit_compile=True, autograph=False)
    compiled_backward = tf.function(backward, jit_compile=True, autograph=False)

    @tf.custom_gradient
    def operation(*arguments: Any) -> tuple[Tensors, Callable[..., Tensors]]:
        outputs, kept = compiled_forward(*arguments)

        @tf.custom_gradient
        def gradients(cotangent: Any, *arguments: Any) -> tuple[Tensors, Callable[..., Any]]:
            def second_order(*cotangents: Any) -> Any:
                sources = [cotangent, *arguments]
                with tf.GradientTape() as tape:
                    tape.watch(sources)
                    _, recomputed = forward(*arguments)
                    results = backward(cotangent, *arguments, *recomputed)
                return tape.gradient(
                    results, sources, output_gradients=cotangents, unconnected_gradients=tf.UnconnectedGradients.ZERO
                )

            return compiled_backward(cotangent, *arguments, *kept), second_order

        return outputs, lambda cotangent, *_: gradients(cotangent, *arguments)

    return operation
