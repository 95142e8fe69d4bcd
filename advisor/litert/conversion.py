"""A TensorFlow function to TFLite flatbuffer bytes, through TensorFlow's converter."""

from __future__ import annotations

import tempfile
import warnings
from typing import Any

from advisor.litert.garbage import quick_garbage_collection
from advisor.litert.quantization import Quantization
from advisor.native_log import native_log_held_back

SIGNATURE = "serve"


def convert_function(function: Any, *, allow_flex: bool = False, quantization: Quantization | None = None) -> bytes:
    """Converts a concrete function with static shapes, under the signature `serve`.

    A calibrated precision must not be asked for where the function holds a loop: TensorFlow's calibration ends the
    process there, without an error. Convert in float first and look for `WHILE`.

    Args:
        function: A concrete function that returns a dictionary of tensors; the variables it reads become constants.
        allow_flex: Whether operators without a LiteRT kernel may be left to TensorFlow's (Flex delegate).
        quantization: The precision; None for float32.

    Returns:
        The flatbuffer.

    Raises:
        Exception: What TensorFlow's converter raises where it cannot convert the function.
    """
    import tensorflow as tf

    # The SavedModel has to own the variables the function reads, those of no layer too.
    owner = tf.Module()
    owner.captured_variables = list(function.variables)
    with (
        tempfile.TemporaryDirectory() as directory,
        quick_garbage_collection(),
        native_log_held_back(),
        warnings.catch_warnings(),
    ):
        # Calibration runs in TensorFlow's own interpreter, of which it says that it is deprecated.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        tf.saved_model.save(owner, directory, signatures={SIGNATURE: function})
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=[SIGNATURE])
        if quantization is not None:
            quantization.set_up(converter, SIGNATURE)
        if allow_flex:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        return converter.convert()
