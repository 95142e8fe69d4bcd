"""Recurrent cells taken apart: what can be computed for all steps at once, and what is left for each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

import keras_normpack

States = Sequence[Any]


@dataclass(frozen=True)
class Steps:
    """How a cell goes through a sequence.

    Attributes:
        project: From the cell and the sequence, `(batch, time, features)`, to what the steps take of it, `(batch, time,
            width)`.
        step: From the cell, what it takes of this step, `(batch, width)`, and the states to the states after the step.
            The first of the states is the output.
        start: From the layer and the sequence to the states before the first step.
        end: From the states after the last step to those that the layer returns.
    """

    project: Callable[[Any, Any], Any]
    step: Callable[[Any, Any, States], States]
    start: Callable[[Any, Any], States]
    end: Callable[[States], States] = list


def steps_of(cell: Any) -> Steps:
    """How a cell goes through a sequence; a cell of an unknown class is called as it is, step by step."""
    return _STEPS.get(type(cell), _CALLS)


def has_steps(cell: Any) -> bool:
    """Whether something of the cell can be computed for all steps at once."""
    return type(cell) in _STEPS


def _zeros(layer: Any, sequence: Any) -> States:
    return layer.get_initial_state(batch_size=sequence.shape[0])


def _with_bias(product: Any, bias: Any) -> Any:
    return product if bias is None else product + bias


# LSTM: i, f, g, o = x · W + h · U + b; c' = σ(f) · c + σ(i) · tanh(g); h' = σ(o) · tanh(c')


def _project_with_bias(cell: Any, sequence: Any) -> Any:
    return _with_bias(ops.matmul(sequence, cell.kernel), cell.bias)


def _lstm_step(cell: Any, projected: Any, states: States) -> States:
    hidden, carry = states
    return lstm_states(cell, projected + ops.matmul(hidden, cell.recurrent_kernel), carry)


def lstm_states(cell: Any, summed: Any, carry: Any) -> States:
    """The states of an LSTM after a step, from the sum of the products and the carry before it."""
    i, f, g, o = ops.split(summed, 4, axis=-1)
    carry = cell.recurrent_activation(f) * carry + cell.recurrent_activation(i) * cell.activation(g)
    return [cell.recurrent_activation(o) * cell.activation(carry), carry]


# GRU: z, r = σ(x · W + h · U); g = tanh(x · W_g + r · (h · U_g)); h' = g + z · (h - g)


def _gru_biases(cell: Any) -> tuple[Any, Any]:
    """The bias of the inputs and the bias of the state; the state has one of its own with `reset_after`."""
    if cell.bias is None:
        return None, None
    return (cell.bias[0], cell.bias[1]) if cell.reset_after else (cell.bias, None)


def _project_gru(cell: Any, sequence: Any) -> Any:
    return _with_bias(ops.matmul(sequence, cell.kernel), _gru_biases(cell)[0])


def _gru_step(cell: Any, projected: Any, states: States) -> States:
    (hidden,) = states
    x_z, x_r, x_g = ops.split(projected, 3, axis=-1)
    if cell.reset_after:
        product = _with_bias(ops.matmul(hidden, cell.recurrent_kernel), _gru_biases(cell)[1])
        h_z, h_r, h_g = ops.split(product, 3, axis=-1)
        candidate = x_g + cell.recurrent_activation(x_r + h_r) * h_g
    else:
        kernel = ops.convert_to_tensor(cell.recurrent_kernel)
        h_z, h_r = ops.split(ops.matmul(hidden, kernel[:, : 2 * cell.units]), 2, axis=-1)
        reset = cell.recurrent_activation(x_r + h_r) * hidden
        candidate = x_g + ops.matmul(reset, kernel[:, 2 * cell.units :])
    return [_mixed(cell.recurrent_activation(x_z + h_z), hidden, cell.activation(candidate))]


def _mixed(update: Any, hidden: Any, candidate: Any) -> Any:
    return candidate + update * (hidden - candidate)


# Simple: h' = tanh(x · W + h · U + b)


def _simple_step(cell: Any, projected: Any, states: States) -> States:
    return [cell.activation(projected + ops.matmul(states[0], cell.recurrent_kernel))]


# The same with layer normalization of the products


def _project_normalized_lstm(cell: Any, sequence: Any) -> Any:
    return _with_bias(cell.kernel_norm(ops.matmul(sequence, cell.kernel)), cell.bias)


def _normalized_lstm_step(cell: Any, projected: Any, states: States) -> States:
    hidden, carry = states
    product = cell.recurrent_norm(ops.matmul(hidden, cell.recurrent_kernel))
    i, f, g, o = ops.split(projected + product, 4, axis=-1)
    carry = cell.recurrent_activation(f) * carry + cell.recurrent_activation(i) * cell.activation(g)
    normalized = cell.state_norm(carry)
    hidden = cell.recurrent_activation(o) * cell.activation(normalized)
    return [hidden, normalized if cell.norm_carry else carry]


def _project_normalized_gru(cell: Any, sequence: Any) -> Any:
    gates, candidate = ops.split(ops.matmul(sequence, cell.kernel), [2 * cell.units], axis=-1)
    normalized = [cell.kernel_norm(gates), cell.candidate_kernel_norm(candidate)]
    return _with_bias(ops.concatenate(normalized, axis=-1), _gru_biases(cell)[0])


def _normalized_gru_step(cell: Any, projected: Any, states: States) -> States:
    (hidden,) = states
    bias = _gru_biases(cell)[1]
    product = ops.matmul(hidden, cell.recurrent_kernel)
    x_gates, x_candidate = ops.split(projected, [2 * cell.units], axis=-1)
    h_gates, h_candidate = ops.split(product, [2 * cell.units], axis=-1)
    h_gates, h_candidate = cell.recurrent_norm(h_gates), cell.candidate_recurrent_norm(h_candidate)
    if bias is not None:
        h_gates, h_candidate = h_gates + bias[: 2 * cell.units], h_candidate + bias[2 * cell.units :]
    update, reset = ops.split(cell.recurrent_activation(x_gates + h_gates), 2, axis=-1)
    return [_mixed(update, hidden, cell.activation(x_candidate + reset * h_candidate))]


def _project_without_bias(cell: Any, sequence: Any) -> Any:
    return ops.matmul(sequence, cell.kernel)


def _normalized_simple_step(cell: Any, projected: Any, states: States) -> States:
    normalized = cell.layernorm(projected + ops.matmul(states[0], cell.recurrent_kernel))
    return [cell.activation(_with_bias(normalized, cell.bias))]


# Any other cell. Its output is no state of its own, so it is carried in front of the states.


def _as_it_is(cell: Any, sequence: Any) -> Any:
    return sequence


def _call_step(cell: Any, inputs: Any, states: States) -> States:
    output, after = cell(inputs, list(states[1:]), training=False)
    return [output, *keras.tree.pack_sequence_as(list(states[1:]), keras.tree.flatten(after))]


def _zeros_and_output(layer: Any, sequence: Any) -> States:
    states = _zeros(layer, sequence)
    output, _ = layer.cell(sequence[:, 0], list(states), training=False)
    return [ops.zeros(output.shape, output.dtype), *states]


def _without_output(states: States) -> States:
    return list(states[1:])


_CALLS = Steps(_as_it_is, _call_step, _zeros_and_output, _without_output)

_STEPS = {
    layers.LSTMCell: Steps(_project_with_bias, _lstm_step, _zeros),
    layers.GRUCell: Steps(_project_gru, _gru_step, _zeros),
    layers.SimpleRNNCell: Steps(_project_with_bias, _simple_step, _zeros),
    keras_normpack.LayerNormLSTMCell: Steps(_project_normalized_lstm, _normalized_lstm_step, _zeros),
    keras_normpack.LayerNormGRUCell: Steps(_project_normalized_gru, _normalized_gru_step, _zeros),
    keras_normpack.LayerNormSimpleRNNCell: Steps(_project_without_bias, _normalized_simple_step, _zeros),
}
