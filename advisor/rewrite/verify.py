"""Whether two models compute the same, on sampled inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from advisor.graph.keras_internals import layer_tree

TOLERANCE = 1e-5
"""Largest relative difference at inference that counts as the same function in float32."""

_HALF_PRECISION_EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}


def relative_difference(first: Any, second: Any, inputs: Any) -> float:
    """How far two models are apart at inference.

    `max |f(x) − g(x)| / max |f(x)|`, per output, the largest of the outputs.

    Args:
        first: The model to compare with.
        second: The other model; same input and output structure.
        inputs: Arrays in the structure of the models' inputs.

    Returns:
        The difference; infinite when shapes or structures differ or only one of them gives finite values.
    """
    return difference_of(outputs_of(first, inputs), outputs_of(second, inputs))


def outputs_of(model: Any, inputs: Any) -> list[np.ndarray]:
    """The flat outputs of a model at inference; it is not changed by that.

    Args:
        model: The model.
        inputs: Arrays in the structure of its inputs.

    Returns:
        One array per output.
    """
    # Random seeds and recurrent states move on when a model runs; in the scope they do for this run only, so that two
    # models start from the same ones. Untraced: tracing costs more than the comparison.
    with keras.StatelessScope():
        return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(inputs, training=False))]


def difference_of(expected: Sequence[np.ndarray], actual: Sequence[np.ndarray]) -> float:
    """How far the outputs of two models are apart, as `relative_difference` defines it."""
    if [y.shape for y in expected] != [y.shape for y in actual]:
        return float("inf")
    return max((_difference(a, b) for a, b in zip(expected, actual, strict=True)), default=0.0)


def tolerance(model: Any) -> float:
    """The largest relative difference that rounding explains, in the precision the model computes in."""
    used = {getattr(layer, "compute_dtype", None) for layer in layer_tree(model)}
    widest = max((_HALF_PRECISION_EPS.get(str(dtype), 0.0) for dtype in used), default=0.0)
    # Half precision rounds after every layer in both models alike; a few units remain.
    return max(TOLERANCE, 8 * widest)


def _difference(expected: np.ndarray, actual: np.ndarray) -> float:
    if expected.dtype.kind in "OSU":
        return 0.0 if np.array_equal(expected, actual) else float("inf")
    wide = (np.asarray(expected, np.float64), np.asarray(actual, np.float64))
    if not np.array_equal(np.isfinite(wide[0]), np.isfinite(wide[1])):
        return float("inf")
    finite = np.isfinite(wide[0])
    if not finite.any():
        return 0.0
    largest = float(np.max(np.abs(wide[0][finite]), initial=0.0))
    apart = float(np.max(np.abs(wide[0][finite] - wide[1][finite]), initial=0.0))
    return apart / largest if largest else apart
