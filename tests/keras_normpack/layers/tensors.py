"""Tensors in the precision that a test needs, and what can be expected of it."""

from typing import Any

import keras
from keras import ops

# On JAX and torch, `ops.mean`, `ops.maximum` and others compute in float32, whatever they are given.
EXACT = 1e-11 if keras.backend.backend() == "tensorflow" else 1e-6


def float64(values: Any) -> Any:
    """Keeps all digits: left to themselves, some backends read NumPy's float64 as float32."""
    return ops.convert_to_tensor(values, dtype="float64")
