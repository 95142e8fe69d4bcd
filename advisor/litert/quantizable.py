"""Which models TensorFlow's converter can quantize, as far as forms of layers decide it."""

from __future__ import annotations

from collections.abc import Mapping

from advisor.litert.choice import Allowed, anything
from advisor.litert.operators import is_loop_free, operator_table
from advisor.litert.quantization import DYNAMIC, INT8, INT8_FLOAT_FALLBACK

LSTM_OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"
"""Its kernels share one scale, which the weights that clear its states (`forms/fused_lstm.py`) take for themselves."""

WITHOUT_INT8_KERNEL = frozenset(
    {"ATAN2", "CEIL", "CONV_3D", "COS", "CUMSUM", "ELU", "FLOOR", "FLOOR_DIV", "FLOOR_MOD"}
    | {"LOCAL_RESPONSE_NORMALIZATION", "NEG", "POW", "ROUND", "SIGN", "SIN", "SQUARE"}
)
"""Operators that TensorFlow 2.21's converter leaves in float, found by converting each; a slow test does so again."""


def takes_dynamic_range(flatbuffer: bytes) -> bool:
    """Whether the weights of a float32 model can become int8 while it computes in float32.

    Args:
        flatbuffer: A TFLite model in float32.
    """
    return LSTM_OPERATOR not in operator_table(flatbuffer)


def takes_int8(flatbuffer: bytes) -> bool:
    """Whether a float32 model can be calibrated and computed in int8: without loops, which end the process there.

    Args:
        flatbuffer: A TFLite model in float32.
    """
    return is_loop_free(flatbuffer) and takes_dynamic_range(flatbuffer)


def takes_int8_alone(flatbuffer: bytes) -> bool:
    """Whether a float32 model can be computed in int8 without an operator that stays in float.

    Args:
        flatbuffer: A TFLite model in float32.
    """
    return takes_int8(flatbuffer) and not WITHOUT_INT8_KERNEL & set(operator_table(flatbuffer))


_ALLOWED: Mapping[str | None, Allowed] = {
    DYNAMIC: takes_dynamic_range,
    INT8: takes_int8_alone,
    INT8_FLOAT_FALLBACK: takes_int8,
}


def forms_allowed(precision: str | None) -> Allowed:
    """Which forms of a layer a model may have that is to be brought to a precision.

    Args:
        precision: One of `PRECISIONS`; None for float32.
    """
    return _ALLOWED.get(precision, anything)
