"""The recurrent steps with layer normalization in NumPy float64, written from the paper's equations."""

import keras
import numpy as np

from keras_normpack import LayerNormGRU, LayerNormLSTM, LayerNormSimpleRNNCell

# Only on TensorFlow does Keras itself keep to float64.
EXACT = "float64" if keras.backend.backend() == "tensorflow" else "float32"
TOLERANCE = 1e-12 if EXACT == "float64" else 2e-5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normalize(x, gamma, beta=0.0, epsilon=1e-3):
    return gamma * (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) + beta


def normed(weights, name, x, epsilon=1e-3):
    return normalize(x, weights[f"{name}/gamma"], weights[f"{name}/beta"], epsilon)


def lstm_step(weights, x, states, keep_inputs=1.0, keep_state=1.0, norm_carry=False, activation=np.tanh):
    hidden, carry = states
    summed = normed(weights, "kernel_norm", (x * keep_inputs) @ weights["kernel"])
    summed = summed + normed(weights, "recurrent_norm", (hidden * keep_state) @ weights["recurrent_kernel"])
    i, f, g, o = np.split(summed + weights.get("bias", 0.0), 4, axis=-1)
    carry = sigmoid(f) * carry + sigmoid(i) * activation(g)
    normalized = normed(weights, "state_norm", carry)
    return [sigmoid(o) * activation(normalized), normalized if norm_carry else carry]


def gru_step(weights, x, states, keep_inputs=1.0, keep_state=1.0):
    (hidden,) = states
    units = hidden.shape[-1]
    bias = weights.get("bias", np.zeros((2, 3 * units)))
    from_inputs, from_state = (x * keep_inputs) @ weights["kernel"], (hidden * keep_state) @ weights["recurrent_kernel"]
    gates = normed(weights, "kernel_norm", from_inputs[:, : 2 * units]) + bias[0, : 2 * units]
    gates = gates + normed(weights, "recurrent_norm", from_state[:, : 2 * units]) + bias[1, : 2 * units]
    z, r = np.split(sigmoid(gates), 2, axis=-1)
    remembered = normed(weights, "candidate_recurrent_norm", from_state[:, 2 * units :]) + bias[1, 2 * units :]
    candidate = normed(weights, "candidate_kernel_norm", from_inputs[:, 2 * units :]) + bias[0, 2 * units :]
    return [z * hidden + (1 - z) * np.tanh(candidate + r * remembered)]


def simple_step(weights, x, states, keep_inputs=1.0, keep_state=1.0):
    (hidden,) = states
    summed = (x * keep_inputs) @ weights["kernel"] + (hidden * keep_state) @ weights["recurrent_kernel"]
    return [np.tanh(normalize(summed, weights["layernorm/gamma"], epsilon=1e-5) + weights.get("bias", 0.0))]


def run(step, weights, inputs, states=None, **options):
    """Gives the outputs of all steps, shape `(batch, time, units)`, and the last states."""
    units = weights["recurrent_kernel"].shape[0]
    states = states or [np.zeros((len(inputs), units)) for _ in range(2 if step is lstm_step else 1)]
    outputs = []
    for time in range(inputs.shape[1]):
        states = step(weights, inputs[:, time], states, **options)
        outputs.append(states[0])
    return np.stack(outputs, 1), states


def weights_of(cell):
    """Gives the weights by their path within the cell."""
    return {
        weight.path.split(f"{cell.name}/", 1)[1]: keras.ops.convert_to_numpy(weight).astype("float64")
        for weight in cell.weights
    }


def randomize(layer, seed=2):
    generator = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(generator.normal(1.0 if "gamma" in weight.path else 0.0, 0.5, weight.shape))
    return layer


def simple_layer(units=4, **options):
    """The layer that `LayerNormLSTM` is for the LSTM cell."""
    of_the_cell = ("dropout", "recurrent_dropout", "seed", "dtype")
    cell = LayerNormSimpleRNNCell(units, **{name: options[name] for name in of_the_cell if name in options})
    of_the_layer = {name: value for name, value in options.items() if name not in of_the_cell or name == "dtype"}
    return keras.layers.RNN(cell, **of_the_layer)


def lstm_layer(units=4, **options):
    return LayerNormLSTM(units, **options)


def gru_layer(units=4, **options):
    return LayerNormGRU(units, **options)


# Maker of a layer and formula of its step.
KINDS = [(lstm_layer, lstm_step), (gru_layer, gru_step), (simple_layer, simple_step)]
KIND_NAMES = ["lstm", "gru", "simple"]
