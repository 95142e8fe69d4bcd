"""What "the same but for rounding" means in the conformance checks."""

from typing import Any

import keras
import numpy as np
from keras import ops

_TOLERANCES = {"float64": 1e-9, "float32": 1e-5, "float16": 5e-3, "bfloat16": 4e-2}


def computes_in_float64() -> bool:
    """Tells whether the backend has float64; Keras computes it in float32 on all but TensorFlow."""
    return keras.backend.backend() == "tensorflow"


def tolerance(dtype: str) -> float:
    """Largest difference from the exact result that rounding explains, as a share of its largest value.

    Args:
        dtype: Name of the dtype that was computed in.
    """
    return _TOLERANCES["float32" if dtype == "float64" and not computes_in_float64() else dtype]


def float64(tensor: Any) -> np.ndarray:
    """Gives a tensor of any backend and dtype as a NumPy array."""
    return ops.convert_to_numpy(ops.cast(tensor, "float64"))


def assert_close(
    actual: np.ndarray, desired: np.ndarray, allowed_share: float, what: str, least_scale: float = 1e-3
) -> None:
    """Raises `AssertionError` where two results differ by more than rounding.

    Args:
        actual: What was computed.
        desired: What should have been.
        allowed_share: Largest difference, as a share of the largest desired value.
        what: What is compared, for the message.
        least_scale: The largest desired value counts as this at least.
    """
    assert actual.shape == desired.shape, f"{what}: expected shape {desired.shape}. Received: {actual.shape}"
    difference = float(np.max(np.abs(actual - desired), initial=0.0))
    allowed = allowed_share * max(float(np.max(np.abs(desired), initial=0.0)), least_scale)
    assert difference <= allowed, f"{what}: expected a difference of at most {allowed:.3g}. Received: {difference:.3g}"
