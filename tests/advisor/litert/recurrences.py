"""Recurrent layers as their papers write them, in NumPy and float64, one step after the other."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

Step = Callable[[np.ndarray, list[np.ndarray]], list[np.ndarray]]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm_step(kernel, recurrent_kernel, bias, x, states, *, activation=np.tanh):
    hidden, carry = states
    i, f, g, o = np.split(x @ kernel + hidden @ recurrent_kernel + bias, 4, axis=-1)
    carry = sigmoid(f) * carry + sigmoid(i) * activation(g)
    return [sigmoid(o) * activation(carry), carry]


def gru_step(kernel, recurrent_kernel, bias, x, states):
    """The reset gate behind the product, as in cuDNN."""
    (hidden,) = states
    x_z, x_r, x_g = np.split(x @ kernel + bias[0], 3, axis=-1)
    h_z, h_r, h_g = np.split(hidden @ recurrent_kernel + bias[1], 3, axis=-1)
    update, reset = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
    return [update * hidden + (1 - update) * np.tanh(x_g + reset * h_g)]


def first_gru_step(kernel, recurrent_kernel, bias, x, states):
    """The reset gate before the product, as in the paper of 2014."""
    (hidden,) = states
    x_z, x_r, x_g = np.split(x @ kernel + bias, 3, axis=-1)
    u_z, u_r, u_g = np.split(recurrent_kernel, 3, axis=-1)
    update, reset = sigmoid(x_z + hidden @ u_z), sigmoid(x_r + hidden @ u_r)
    return [update * hidden + (1 - update) * np.tanh(x_g + (reset * hidden) @ u_g)]


def simple_step(kernel, recurrent_kernel, bias, x, states):
    return [np.tanh(x @ kernel + states[0] @ recurrent_kernel + bias)]


def recurrence(step: Step, sequence: np.ndarray, states: int, units: int, mask: Any = None) -> np.ndarray:
    """The outputs of all steps; a masked step carries on what was."""
    current = [np.zeros((len(sequence), units)) for _ in range(states)]
    outputs = []
    for time in range(sequence.shape[1]):
        after = step(sequence[:, time], current)
        if mask is not None:
            after = [np.where(mask[:, time, None], a, b) for a, b in zip(after, current, strict=True)]
        current = after
        outputs.append(current[0])
    return np.stack(outputs, axis=1)


STEPS = {"lstm": (lstm_step, 2), "gru": (gru_step, 1), "first_gru": (first_gru_step, 1), "simple": (simple_step, 1)}


def outputs_of(kind: str, layer: Any, sequence: np.ndarray, mask: Any = None) -> np.ndarray:
    """What a Keras layer of this kind has to return for all steps."""
    step, states = STEPS[kind]
    weights = [np.asarray(weight, "float64") for weight in layer.get_weights()]
    return recurrence(partial(step, *weights), sequence.astype("float64"), states, layer.units, mask)
