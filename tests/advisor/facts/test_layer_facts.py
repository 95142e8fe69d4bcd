"""What is known of single layers: shapes, channels, activations, penalties, costs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from advisor.facts import Kind, gather_facts
from advisor.graph import read_graph


def facts_of(*stack, shape=(8, 8, 3)):
    return gather_facts(read_graph(keras.Sequential([keras.Input(shape), *stack])))


def one(layer, shape=(8, 8, 3)):
    return facts_of(layer, shape=shape)[layer.name]


def test_names_classes_and_wrappers():
    dense = layers.Dense(4, activation="relu", name="dense")
    facts = one(layers.TimeDistributed(layers.SpectralNormalization(dense), name="each"), (5, 3))
    assert (facts.path, facts.name, facts.kind, facts.cls) == ("each", "each", Kind.DENSE, layers.Dense)
    assert facts.wrapper is layers.TimeDistributed
    assert facts.config["units"] == 4
    assert facts.activation == "relu"
    assert one(layers.Dense(2)).wrapper is None


@pytest.mark.parametrize(
    ("layer", "activation"),
    [
        (layers.Conv2D(1, 1), None),
        (layers.Conv2D(1, 1, activation="linear"), None),
        (layers.Conv2D(1, 1, activation="swish"), "silu"),
        (layers.Dense(1, activation=lambda x: x), "<lambda>"),
        (layers.Activation("softmax"), "softmax"),
        (layers.Activation("linear"), "linear"),
        (layers.ReLU(), "relu"),
        (layers.LeakyReLU(), "leaky_relu"),
        (layers.Softmax(), "softmax"),
        (layers.BatchNormalization(), None),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_the_activation_is_the_last_one_the_layer_applies(layer, activation):
    facts = one(layer)
    assert facts.activation == activation
    assert facts.is_linear == (activation is None and facts.kind is not Kind.NORM)


def test_operations_name_their_activation():
    x = keras.Input((4,))
    facts = gather_facts(read_graph(keras.Model(x, keras.ops.relu(x))))
    assert facts["relu"].activation == "relu"
    assert not facts["relu"].trainable
    assert not facts["relu"].has_penalty
    assert facts["relu"].params == 0


def test_biases():
    assert one(layers.Conv2D(2, 3)).has_bias
    assert not one(layers.Conv2D(2, 3, use_bias=False)).has_bias
    assert one(layers.EinsumDense("abcd,de->abce", (8, 8, 2), bias_axes="e")).has_bias
    assert not one(layers.EinsumDense("abcd,de->abce", (8, 8, 2))).has_bias


@pytest.mark.parametrize(
    ("layer", "shape", "axis", "channels", "positions"),
    [
        (layers.Conv2D(5, 3), (8, 8, 3), 3, 5, 36),
        (layers.Conv1D(5, 3, data_format="channels_first", padding="same"), (4, 9), 1, 5, 9),
        (layers.BatchNormalization(axis=1), (8, 9, 3), 1, 8, 27),
        (layers.BatchNormalization(), (7,), 1, 7, 1),
        (layers.LayerNormalization(), (5, 6), 2, 6, 5),
        (layers.Dense(6), (5, 4), 2, 6, 5),
        (layers.Conv2D(5, 1), (None, 8, 3), 3, 5, None),
        (layers.LSTM(4), (None, 3), 1, 4, 1),
    ],
    ids=[
        "conv",
        "channels first",
        "norm on axis 1",
        "dense norm",
        "layer norm",
        "sequence",
        "unknown size",
        "recurrent",
    ],
)
def test_channels_and_positions(layer, shape, axis, channels, positions):
    facts = one(layer, shape)
    assert (facts.channel_axis, facts.channels, facts.positions) == (axis, channels, positions)


def test_channels_first_convolutions_in_two_dimensions():
    x = keras.Input((3, 8, 8))
    # The axes only; the CPU does not run such a convolution.
    facts = gather_facts(read_graph(keras.Model(x, layers.Conv2D(5, 3, data_format="channels_first", name="c")(x))))
    assert (facts["c"].channels, facts["c"].positions) == (5, 36)


def test_masks_that_reach_a_call():
    stack = [layers.Embedding(9, 3, mask_zero=True, name="e"), layers.LSTM(2, name="lstm"), layers.Dense(1, name="d")]
    facts = facts_of(*stack, shape=(5,))
    assert [facts[name].masked for name in ("e", "lstm", "d")] == [False, True, False]


def test_moved_statistics_show_a_trained_normalization():
    norm = layers.BatchNormalization()
    facts = one(norm)
    assert facts.moved is None
    norm.moving_mean.assign(np.full(3, 0.1))
    assert facts.moved == "moving_mean"
    assert one(norm.__class__()).is_batch_norm
    assert not one(layers.LayerNormalization()).is_batch_norm


def test_moved_biases_and_scales_show_a_trained_layer():
    dense = layers.Dense(2)
    facts = one(dense)
    assert facts.moved is None
    dense.bias.assign([0.0, 0.1])
    assert facts.moved == "bias"
    chosen = layers.Dense(2, bias_initializer=keras.initializers.Constant(-2.0))
    assert one(chosen).moved is None
    norm = layers.LayerNormalization()
    facts = one(norm)
    norm.gamma.assign(norm.gamma * 2)
    assert facts.moved == "gamma"


def test_channels_first_inside_time_distributed():
    wrapped = layers.TimeDistributed(layers.BatchNormalization(axis=1), name="norm")
    facts = gather_facts(read_graph(keras.Sequential([keras.Input((5, 3, 8, 8)), wrapped])))["norm"]
    assert (facts.channel_axis, facts.channels, facts.positions) == (2, 3, 5 * 64)


def test_what_an_opaque_layer_holds_has_no_known_shape():
    class Hiding(layers.Layer):
        def __init__(self):
            super().__init__(name="hiding")
            self.norm = layers.BatchNormalization(name="norm")

        def call(self, x):
            return self.norm(tf.identity(x))

    facts = gather_facts(read_graph(keras.Sequential([keras.Input((4,)), Hiding()])))["hiding/norm"]
    assert (facts.channel_axis, facts.channels, facts.positions) == (0, None, None)


def test_regularizers_set_too_late_are_unbound():
    dense, bound = layers.Dense(2, name="late"), layers.Dense(2, kernel_regularizer="l2", name="bound")
    facts = facts_of(dense, bound)
    dense.kernel_regularizer = keras.regularizers.L2(1e-4)
    assert list(facts["late"].unbound_regularizers) == ["kernel_regularizer"]
    assert not facts["late"].has_penalty
    assert (dict(facts["bound"].unbound_regularizers), facts["bound"].has_penalty) == ({}, True)
    assert one(layers.Dense(1, activity_regularizer="l1")).has_penalty


def test_trainable_follows_the_layer():
    dense = layers.Dense(2)
    facts = one(dense)
    assert facts.trainable
    dense.trainable = False
    assert not facts.trainable


@pytest.mark.parametrize(
    ("layer", "shape", "params", "flops"),
    [
        (layers.Conv2D(5, 3, padding="same"), (8, 8, 3), 3 * 3 * 3 * 5 + 5, 2 * 3 * 3 * 3 * 5 * 64),
        (layers.Conv2D(5, 3, strides=2), (9, 9, 3), 3 * 3 * 3 * 5 + 5, 2 * 3 * 3 * 3 * 5 * 16),
        (layers.DepthwiseConv2D(3, padding="same", use_bias=False), (8, 8, 3), 27, 2 * 27 * 64),
        (layers.Dense(7), (4,), 35, 2 * 4 * 7),
        (layers.Dense(7, use_bias=False), (6, 4), 28, 2 * 4 * 7 * 6),
        (layers.LSTM(3), (10, 2), 4 * 3 * (2 + 3 + 1), 2 * 4 * 3 * (2 + 3) * 10),
        (layers.Embedding(50, 8), (10,), 400, 0),
        (layers.Flatten(), (4, 4), 0, 0),
        (layers.ReLU(), (4, 4), 0, 16),
        (layers.Dropout(0.5), (4,), 0, 0),
    ],
    ids=[
        "conv",
        "strided",
        "depthwise",
        "dense",
        "dense on a sequence",
        "lstm",
        "embedding",
        "flatten",
        "relu",
        "dropout",
    ],
)
def test_parameters_and_operations(layer, shape, params, flops):
    facts = one(layer, shape)
    assert facts.params == params
    assert facts.flops == flops


def test_attention_counts_its_products():
    x = keras.Input((6, 8))
    attention = layers.MultiHeadAttention(2, 4, name="attention")
    facts = gather_facts(read_graph(keras.Model(x, attention(x, x))))["attention"]
    projections = 4 * (8 * 8)
    assert facts.flops == 2 * projections * 6 + 4 * 6 * 6 * 8
