"""Where padding flows without its mask."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor.facts import gather_facts
from advisor.facts.padding import padding_share
from advisor.facts.read_data import read_data
from advisor.graph import read_graph


def _unmasked(outputs, inputs):
    return gather_facts(read_graph(keras.Model(inputs, outputs))).unmasked_padding


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ([layers.Dense(4), layers.Dropout(0.1), layers.LSTM(4, return_sequences=True)], set()),
        ([layers.Conv1D(4, 3, name="conv"), layers.Dense(4, name="dense")], {"conv", "dense"}),
        ([layers.Conv1D(4, 3, name="conv"), layers.GlobalMaxPooling1D(keepdims=True), layers.Dense(4)], {"conv"}),
        ([layers.MaxPooling1D(2, name="pool"), layers.Flatten(), layers.Dense(4)], {"pool"}),
    ],
)
def test_a_mask_is_lost_at_the_first_layer_that_does_not_support_it(chain, expected):
    inputs = keras.Input((6, 3))
    outputs = layers.Masking()(inputs)
    for layer in chain:
        outputs = layer(outputs)
    assert _unmasked(outputs, inputs) == expected


def test_operations_lose_masks():
    inputs = keras.Input((6, 3))
    outputs = ops.relu(layers.Masking()(inputs))
    assert _unmasked(outputs, inputs) == {outputs._keras_history.operation.name}


def test_a_sum_with_what_has_no_mask_has_none():
    inputs = keras.Input((6,), dtype="int32")
    words = layers.Embedding(9, 4, mask_zero=True)(inputs)
    positions = layers.Embedding(9, 4, name="positions")(inputs)
    assert _unmasked(layers.Add(name="sum")([words, positions]), inputs) == {"sum"}


def test_categories_are_no_sequences():
    inputs = keras.Input((), dtype="int32")
    assert not _unmasked(layers.Dense(2)(layers.Embedding(9, 4, mask_zero=True)(inputs)), inputs)


def test_padding_is_measured_by_input():
    words, series = keras.Input((4,), dtype="int32", name="words"), keras.Input((4, 2), name="series")
    embedded = layers.Embedding(9, 2, mask_zero=True)(words)
    masked = layers.Masking(mask_value=-1.0)(series)
    graph = read_graph(keras.Model([words, series], layers.Add()([embedded, masked])))
    steps = np.ones((8, 4, 2), "float32")
    steps[:, 1:] = -1.0
    steps[:4, 1, 0] = 5.0
    facts = gather_facts(graph)
    data = read_data(((np.tile(np.int32([1, 2, 3, 0]), (8, 1)), steps), np.zeros(8)), graph)
    assert padding_share(graph, facts.layers.values(), data) == pytest.approx(1 / 4 * 2 + 1 / 8)
    plain = read_graph(keras.Sequential([keras.Input((4, 2)), layers.Dense(2)]))
    assert padding_share(plain, gather_facts(plain).layers.values(), read_data(steps, plain)) is None
