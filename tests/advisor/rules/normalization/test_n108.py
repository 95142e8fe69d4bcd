import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_normpack
from advisor import advise
from advisor.graph import read_graph
from tests.advisor import architectures


def _findings(model):
    return advise(model, select="N108", trained=False, verbose=0).findings


def _fixed(model):
    return advise(model, select="N108", trained=False, verbose=0).apply()


@pytest.mark.parametrize("recurrent", [2, 3, 5])
def test_a_stack_of_any_depth_is_one_finding(recurrent):
    (finding,) = _findings(architectures.bidirectional_gru(recurrent=recurrent))
    assert finding.message.startswith(f"{recurrent} recurrent layers")
    assert len(finding.layers) == recurrent - 1


def test_masks_pass_the_new_normalization():
    model = _fixed(architectures.bidirectional_gru(recurrent=3))
    assert sum(isinstance(layer, layers.LayerNormalization) for layer in model.layers) == 2
    words = np.zeros((2, 12), "int32")
    words[:, :5] = np.random.default_rng(0).integers(1, 100, (2, 5))
    before = ops.convert_to_numpy(model(words))
    embedding = next(layer for layer in model.layers if isinstance(layer, layers.Embedding))
    table = ops.convert_to_numpy(embedding.embeddings).copy()
    table[0] += 1.0
    embedding.embeddings.assign(table)
    np.testing.assert_array_equal(ops.convert_to_numpy(model(words)), before)


def test_other_readers_get_what_they_got():
    inputs = keras.Input((6, 3))
    steps = layers.LSTM(8, return_sequences=True, name="lower")(inputs)
    upper = layers.GRU(8, return_sequences=True, name="upper")(steps)
    model = keras.Model(inputs, layers.Dense(2)(layers.Concatenate(name="both")([steps, upper])))
    graph = read_graph(_fixed(model))
    assert graph.producers("both") == ("lower", "upper")
    assert graph.producers("upper") == ("upper_layer_normalization",)


def test_a_decoder_reads_the_sequence_it_is_given_however_its_states_are_named():
    inputs, target = keras.Input((6, 3)), keras.Input((5, 3))
    _, *states = layers.LSTM(8, return_state=True, name="encoder")(inputs)
    steps = layers.LSTM(8, return_sequences=True, name="first")(initial_state=states, sequences=target)
    steps = layers.LSTM(8, name="second")(initial_state=states, sequences=steps)
    model = keras.Model([inputs, target], layers.Dense(2)(steps))
    (finding,) = _findings(model)
    assert finding.layers == ("second",)
    graph = read_graph(_fixed(model))
    assert set(graph.producers("second")) == {"encoder", "second_layer_normalization"}
    assert graph.producers("second_layer_normalization") == ("first",)


@pytest.mark.parametrize(
    "cell",
    [
        lambda: keras_normpack.LayerNormGRU(8, return_sequences=True),
        lambda: layers.RNN(keras_normpack.LayerNormLSTMCell(8), return_sequences=True),
        lambda: layers.RNN([layers.LSTMCell(8), layers.LSTMCell(8)], return_sequences=True),
    ],
)
def test_cells_that_normalize_or_are_not_known_are_left_alone(cell):
    assert not _findings(keras.Sequential([keras.Input((6, 3)), cell(), cell(), layers.Dense(2)]))


def test_frozen_layers_are_left_alone():
    lower, upper = (layers.LSTM(8, return_sequences=True) for _ in range(2))
    model = keras.Sequential([keras.Input((6, 3)), lower, upper])
    assert _findings(model)
    upper.trainable = False
    assert not _findings(model)


def test_two_stacks_are_two_findings():
    inputs = [keras.Input((6, 3)), keras.Input((6, 3))]
    ends = [layers.GRU(8)(layers.GRU(8, return_sequences=True)(x)) for x in inputs]
    assert len(_findings(keras.Model(inputs, layers.Concatenate()(ends)))) == 2
