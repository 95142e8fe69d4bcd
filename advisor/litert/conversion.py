"""A TensorFlow function to TFLite flatbuffer bytes, through TensorFlow's converter."""

from __future__ import annotations

import tempfile
from typing import Any

from advisor.native_log import native_log_held_back

SIGNATURE = "serve"


def convert_function(function: Any, *, allow_flex: bool = False) -> bytes:
    """Converts a concrete function with static shapes, under the signature `serve`.

    Args:
        function: A concrete function that returns a dictionary of tensors; the variables it reads become constants.
        allow_flex: Whether operators without a LiteRT kernel may be left to TensorFlow's (Flex delegate).

    Returns:
        The flatbuffer.

    Raises:
        Exception: What TensorFlow's converter raises where it cannot convert the function.
    """
    import tensorflow as tf

    # The SavedModel has to own the variables the function reads, those of no layer too.
    owner = tf.Module()
    owner.captured_variables = list(function.variables)
    with tempfile.TemporaryDirectory() as directory, native_log_held_back():
        tf.saved_model.save(owner, directory, signatures={SIGNATURE: function})
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=[SIGNATURE])
        if allow_flex:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        return converter.convert()
