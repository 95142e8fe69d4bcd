"""Every kernel of the current backend against the operation's reference."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_normpack import kernels
from keras_normpack.autodiff import outputs_and_gradients
from keras_normpack.testing.closeness import assert_close, float64, tolerance


def check_kernel(
    operation: str,
    shapes: Sequence[tuple[int, ...]],
    *,
    axis: int = -1,
    dtypes: Sequence[str] = ("float32", "float16", "bfloat16"),
    epsilon: float = 1e-3,
    **arguments: Any,
) -> None:
    """Checks every kernel the current backend has for an operation against the operation's reference.

    The reference is computed in float64 on the same, rounded inputs. Outputs and the gradients to inputs, gamma and
    beta are compared, whether or not the kernel would be chosen for the shape.

    Args:
        operation: Name of the operation, such as `"batch_normalization"`.
        shapes: Shapes of the inputs.
        axis: The channel axis.
        dtypes: Dtypes of the inputs.
        epsilon: Added to the variance.
        **arguments: Other arguments of the operation, such as `groups`.

    Raises:
        AssertionError: If a kernel differs from the reference; the message names kernel, shape, dtype and result.

    Example:
    >>> check_kernel("batch_normalization", [(4, 5, 5, 3)])
    """
    for kernel in kernels.kernels(operation):
        for shape in shapes:
            for dtype in dtypes:
                _compare_with_reference(kernel, shape, dtype, {"axis": axis, "epsilon": epsilon, **arguments})


def _compare_with_reference(
    kernel: kernels.Kernel, shape: tuple[int, ...], dtype: str, arguments: dict[str, Any]
) -> None:
    reference = kernels.reference(kernel.operation)
    generator = np.random.default_rng(0)
    inputs = ops.cast(generator.normal(1.0, 2.0, shape), dtype)
    cotangent = ops.cast(generator.normal(size=shape), dtype)
    affine = [name for name in ("gamma", "beta") if name in inspect.signature(reference).parameters]
    weights = generator.uniform(0.5, 1.5, (len(affine), shape[arguments["axis"]]))

    def results(function: Callable[..., Any], computed_in: str, weights_in: str) -> list[np.ndarray]:
        outputs, gradients = outputs_and_gradients(
            lambda *tensors: function(*tensors, **arguments),
            [ops.cast(inputs, computed_in), *(ops.cast(weight, weights_in) for weight in weights)],
            ops.cast(cotangent, computed_in),
        )
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return [float64(value) for value in (*outputs, *gradients)]

    actual = results(kernel.function, dtype, "float32")
    desired = results(reference, "float64", "float64")
    for position, (ours, theirs) in enumerate(zip(actual, desired, strict=True)):
        what = f"{kernel.operation} on {shape} {dtype}, result {position}"
        # Gradients cancel where few values are averaged; inputs and cotangents, which are rounded too, are about 1.
        assert_close(ours, theirs, tolerance(dtype), what, least_scale=1.0)
