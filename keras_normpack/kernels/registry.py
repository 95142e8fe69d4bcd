"""Finds the kernels of the current backend; a backend's modules load only when it is the current one."""

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from keras_normpack.kernels.call import Call
from keras_normpack.kernels.reference import REFERENCES

# Module by backend; each has a tuple `KERNELS`.
_KERNEL_MODULES = {backend: f"keras_normpack.kernels.{backend}" for backend in ("tensorflow", "jax", "torch")}


@dataclass(frozen=True)
class Kernel:
    """A fused implementation of one operation.

    Args:
        operation: Name of the operation, a key of `REFERENCES`.
        function: Takes and returns what the reference takes and returns, to rounding, gradients too.
        is_faster: Whether the kernel was measured to be faster than the reference for such a call, and can run it.
    """

    operation: str
    function: Callable[..., Any]
    is_faster: Callable[[Call], bool]


def kernels(operation: str) -> tuple[Kernel, ...]:
    """Lists the current backend's kernels for an operation, in order of preference.

    Args:
        operation: Name of the operation, such as `"batch_normalization"`.

    Returns:
        The kernels; empty where the backend has none.

    Raises:
        ValueError: If there is no such operation.
    """
    reference(operation)
    return tuple(kernel for kernel in _load(keras.backend.backend()) if kernel.operation == operation)


def reference(operation: str) -> Callable[..., Any]:
    """Gives the `keras.ops` definition of an operation.

    Args:
        operation: Name of the operation, such as `"batch_normalization"`.

    Returns:
        The function every kernel of the operation agrees with.

    Raises:
        ValueError: If there is no such operation.
    """
    try:
        return REFERENCES[operation]
    except KeyError:
        raise ValueError(
            f"Argument `operation` must be one of {sorted(REFERENCES)}. Received: operation={operation!r}"
        ) from None


def choose(operation: str, call: Call) -> Callable[..., Any] | None:
    """Picks the kernel for a call.

    Args:
        operation: Name of the operation.
        call: What it is called on.

    Returns:
        The function of the first kernel that is faster than the reference for the call, or `None`.

    Raises:
        ValueError: If there is no such operation.
    """
    return next((kernel.function for kernel in kernels(operation) if kernel.is_faster(call)), None)


def fastest(operation: str, call: Call) -> Callable[..., Any]:
    """Picks the kernel for a call, or the reference where no kernel is faster.

    Args:
        operation: Name of the operation.
        call: What it is called on.

    Returns:
        The function to call.

    Raises:
        ValueError: If there is no such operation.
    """
    return choose(operation, call) or reference(operation)


@functools.cache
def _load(backend: str) -> tuple[Kernel, ...]:
    if backend not in _KERNEL_MODULES:
        return ()
    return importlib.import_module(_KERNEL_MODULES[backend]).KERNELS
