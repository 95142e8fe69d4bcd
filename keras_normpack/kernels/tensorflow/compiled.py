"""Operations with a forward and a backward pass of their own, each compiled by XLA into few passes over memory."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Tensors = tuple[Any, ...]


def differentiable(
    forward: Callable[..., tuple[Tensors, Tensors]], backward: Callable[..., Tensors]
) -> Callable[..., Tensors]:
    """Joins a forward and a backward pass into one differentiable operation.

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


def rows(inputs: Any) -> Any:
    """Gives a tensor as a float32 matrix with one row per vector along its last axis."""
    return tf.reshape(tf.cast(inputs, tf.float32), [-1, inputs.shape[-1]])


def row_means(matrix: Any) -> Any:
    """Averages each row of a matrix.

    Product with a vector: XLA reduces along the innermost axis one number at a time, but multiplies vectors at full
    speed, and computes what is multiplied on the way.

    Args:
        matrix: Tensor `(rows, columns)`.

    Returns:
        Tensor `(rows, 1)`.
    """
    columns = matrix.shape[-1]
    return matrix @ tf.fill([columns, 1], tf.constant(1 / columns, matrix.dtype))


def affine_weights(gamma: Any, beta: Any, channels: int) -> tuple[Any, Any]:
    """Gives scale and offset as float32 tensors, with ones and zeros in place of `None`."""
    scale = tf.ones(channels) if gamma is None else tf.cast(gamma, tf.float32)
    offset = tf.zeros(channels) if beta is None else tf.cast(beta, tf.float32)
    return scale, offset
