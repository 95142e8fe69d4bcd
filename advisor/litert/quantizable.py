"""Which models TensorFlow's converter can quantize, as far as forms of layers decide it."""

from __future__ import annotations

from advisor.litert.choice import Allowed, anything
from advisor.litert.operators import is_loop_free, operator_table
from advisor.litert.quantization import CALIBRATED, DYNAMIC

LSTM_OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"
"""Its kernels share one scale, which the weights that clear its states (`forms/fused_lstm.py`) take for themselves."""


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


def forms_allowed(precision: str | None) -> Allowed:
    """Which forms of a layer a model may have that is to be brought to a precision.

    Args:
        precision: One of `PRECISIONS`; None for float32.
    """
    if precision in CALIBRATED:
        return takes_int8
    return takes_dynamic_range if precision == DYNAMIC else anything
