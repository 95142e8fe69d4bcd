"""How numbers are stored and computed in a quantized model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOAT16 = "float16"
DYNAMIC = "dynamic"
INT8 = "int8"
INT8_FLOAT_FALLBACK = "int8_float_fallback"
CALIBRATED = (INT8, INT8_FLOAT_FALLBACK)
"""Precisions whose activations are integers, with ranges that are read off on representative data."""
PRECISIONS = (FLOAT16, DYNAMIC, *CALIBRATED)


@dataclass(frozen=True, eq=False)
class Quantization:
    """A precision below float32.

    Attributes:
        precision: One of `PRECISIONS`. `float16`: weights stored in float16. `dynamic`: weights stored in int8,
            activations in float. `int8`: weights, activations, inputs and outputs in int8. `int8_float_fallback`: the
            same inside, inputs and outputs in float, and float where LiteRT has no int8 kernel.
        batches: For the last two, representative inputs by name, in the batches the model takes.
    """

    precision: str
    batches: Sequence[Mapping[str, np.ndarray]] = ()

    def set_up(self, converter: Any, signature: str) -> None:
        """Has TensorFlow's converter quantize so.

        Args:
            converter: A `tf.lite.TFLiteConverter`.
            signature: Name of the signature that is converted.
        """
        import tensorflow as tf

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if self.precision in CALIBRATED:
            converter.representative_dataset = lambda: ((signature, dict(batch)) for batch in self.batches)
        if self.precision == FLOAT16:
            converter.target_spec.supported_types = [tf.float16]
        if self.precision == INT8:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.int8
            converter.inference_output_type = tf.int8
