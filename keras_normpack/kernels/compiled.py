"""The operations on the passes of `kernels.passes`, for backends that compile them."""

import functools
from collections.abc import Callable
from typing import Any, Protocol

from keras import ops

from keras_normpack.kernels import passes
from keras_normpack.kernels.layout import channels_last

Differentiable = Callable[[Callable[..., Any], Callable[..., Any]], Callable[..., Any]]


class Operation(Protocol):
    """A function with the arguments of a reference."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Computes what the reference does."""


def compiled_operations(differentiable: Differentiable) -> dict[str, Operation]:
    """Makes the operations.

    Args:
        differentiable: Joins a forward and a backward pass, as described in `kernels.passes`, into one function that
            the backend differentiates by the latter.

    Returns:
        A function per operation, with the arguments of its reference.
    """

    def once_per_arguments(module: Any) -> Callable[..., Any]:
        return functools.cache(lambda *fixed: differentiable(*module.passes(*fixed)))

    batch = once_per_arguments(passes.batch_normalization)
    group = once_per_arguments(passes.group_normalization)
    layer = once_per_arguments(passes.layer_normalization)
    rms = once_per_arguments(passes.rms_normalization)

    def batch_normalization(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any]:
        x, restore = channels_last(inputs, axis)
        outputs, mean, variance = batch(epsilon)(x, *_weights(x, gamma, beta))
        return restore(outputs), ops.stop_gradient(mean), ops.stop_gradient(variance)

    def group_normalization(inputs: Any, gamma: Any, beta: Any, groups: int, axis: int, epsilon: float) -> Any:
        x, restore = channels_last(inputs, axis)
        (outputs,) = group(groups, epsilon)(x, *_weights(x, gamma, beta))
        return restore(outputs)

    def instance_normalization(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> Any:
        return group_normalization(inputs, gamma, beta, inputs.shape[axis], axis, epsilon)

    def layer_normalization(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> Any:
        x, restore = channels_last(inputs, axis)
        (outputs,) = layer(epsilon)(x, *_weights(x, gamma, beta))
        return restore(outputs)

    def rms_normalization(inputs: Any, gamma: Any, axis: int, epsilon: float) -> Any:
        x, restore = channels_last(inputs, axis)
        (outputs,) = rms(epsilon)(x, _weights(x, gamma, None)[0])
        return restore(outputs)

    return {
        "batch_normalization": batch_normalization,
        "group_normalization": group_normalization,
        "instance_normalization": instance_normalization,
        "layer_normalization": layer_normalization,
        "rms_normalization": rms_normalization,
    }


def _weights(x: Any, gamma: Any, beta: Any) -> tuple[Any, Any]:
    """Gives scale and offset as float32 tensors, with ones and zeros in place of `None`."""
    channels = (x.shape[-1],)
    scale = ops.ones(channels, "float32") if gamma is None else ops.cast(gamma, "float32")
    offset = ops.zeros(channels, "float32") if beta is None else ops.cast(beta, "float32")
    return scale, offset
