"""LSTM as LiteRT's operator UNIDIRECTIONAL_SEQUENCE_LSTM."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
from keras import activations, layers, ops

from advisor.litert.calls import LayerCall
from advisor.litert.forms.form import Form
from advisor.litert.forms.loop import walk_in_a_loop
from advisor.litert.forms.over_time import batch_major, is_a_sequence, time_major
from advisor.litert.forms.steps import States, lstm_states

_CLOSED = -1e4
"""What is added to a gate to close it: σ is 0 there in float32. float16 holds it, too."""
_HUGE = 1e15


def _is_what_the_operator_computes(call: LayerCall) -> bool:
    cell = call.layer.cell
    return (
        is_a_sequence(call)
        and type(cell) is layers.LSTMCell
        and call.mask is None
        and not call.layer.return_state
        and cell.activation is activations.tanh
        and cell.recurrent_activation is activations.sigmoid
    )


def _fused(layer: Any, inputs: Any, mask: Any) -> Any:
    """The operator keeps its states from call to call, so that a step before the first one has to clear them.

    An additional feature is 1 in that step alone and closes all gates: `c = 0 · c + 0 · g = 0`, `h = 0 · tanh(c) = 0`.
    What is not finite would stay all the same, `0 · NaN`, so it is read as 0.
    """
    import tensorflow as tf

    cell, (batch, _, features) = layer.cell, inputs.shape
    sequence = ops.flip(inputs, axis=1) if layer.go_backwards else inputs
    sequence = ops.where(ops.abs(sequence) < _HUGE, sequence, 0.0)
    clearing = np.zeros((batch, 1, features + 1), "float32")
    clearing[:, :, 0] = 1.0
    sequence = ops.concatenate([clearing, ops.pad(sequence, ((0, 0), (0, 0), (1, 0)))], axis=1)
    closing = np.repeat([_CLOSED, _CLOSED, 0.0, _CLOSED], cell.units).astype("float32")[None]
    kernel, recurrent_kernel = map(tf.convert_to_tensor, (cell.kernel, cell.recurrent_kernel))
    bias = tf.zeros(4 * cell.units) if cell.bias is None else tf.convert_to_tensor(cell.bias)
    zeros = tf.zeros((batch, cell.units))
    operator = _known_to_the_converter(cell)
    _, outputs, *_ = operator(sequence, zeros, zeros, tf.concat([closing, kernel], 0), recurrent_kernel, bias)
    return outputs[:, 1:] if layer.return_sequences else outputs[:, -1]


def _known_to_the_converter(cell: Any) -> Any:
    """The sequence of an LSTM under the name, the attributes, and with the arguments and results that TensorFlow's
    converter replaces by the operator (tensorflow/compiler/mlir/lite/transforms/prepare_composite_functions_tf.cc). Its
    states are not to be read: the operator does not give them.
    """
    import tensorflow as tf

    name = {"api_implements": f"lstm_{uuid.uuid4()}", "time_major": False, "go_backwards": False}

    @tf.function(autograph=False, experimental_attributes=name)
    def lstm(sequence: Any, hidden: Any, carry: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
        def advance(row: Any, states: States) -> States:
            return lstm_states(cell, row[0] + ops.matmul(states[0], recurrent_kernel), states[1])

        rows = time_major(ops.matmul(sequence, kernel) + bias)
        outputs, states = walk_in_a_loop(advance, [rows], [hidden, carry], True)
        outputs = batch_major(outputs)
        return outputs[:, -1], outputs, *states, tf.constant(0.0)

    return lstm


FORM_FUSED = Form("LiteRT's LSTM operator", _fused, _is_what_the_operator_computes)
