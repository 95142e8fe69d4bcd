"""Wrappers that compute kernels, baked in."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.graph.keras_internals import layer_tree
from advisor.graph.sampling import sample_inputs
from advisor.rewrite import RewriteError, relative_difference, remove_weight_normalization
from advisor.testing import randomize_weights
from keras_normpack import WeightNormalization, WeightStandardization

IMAGE, SEQUENCE = (8, 8, 3), (5, 4)
CASES = {
    "dense": ((4,), lambda: WeightNormalization(layers.Dense(3))),
    "dense in time": (SEQUENCE, lambda: layers.TimeDistributed(WeightNormalization(layers.Dense(3)))),
    "standardized": (IMAGE, lambda: WeightStandardization(layers.Conv2D(4, 3))),
    "standardized with a gain": (IMAGE, lambda: WeightStandardization(layers.Conv2D(4, 3), gain=1.7)),
    "separable": (IMAGE, lambda: WeightNormalization(layers.SeparableConv2D(4, 3))),
    "transposed": (IMAGE, lambda: WeightNormalization(layers.Conv2DTranspose(4, 3))),
    "spectral": (IMAGE, lambda: layers.SpectralNormalization(layers.Conv2D(4, 3))),
    "lstm": (SEQUENCE, lambda: WeightNormalization(layers.LSTM(3, return_sequences=True))),
    "lstm with dropout": (SEQUENCE, lambda: WeightNormalization(layers.LSTM(3, dropout=0.2))),
    "inside both directions": (SEQUENCE, lambda: layers.Bidirectional(WeightNormalization(layers.LSTM(3)))),
    "around both directions": (SEQUENCE, lambda: WeightNormalization(layers.Bidirectional(layers.GRU(3)))),
    "a cell": (SEQUENCE, lambda: layers.RNN(WeightNormalization(layers.GRUCell(3)))),
    "a stack of cells": (SEQUENCE, lambda: layers.RNN([WeightNormalization(layers.GRUCell(3)), layers.LSTMCell(2)])),
    "around cells": (SEQUENCE, lambda: WeightNormalization(layers.RNN(layers.LSTMCell(3)))),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_exact_and_nothing_of_the_wrapper_is_left(case, tmp_path):
    shape, make = CASES[case]
    model = randomize_weights(keras.Sequential([keras.Input(shape), make()]))
    plain = remove_weight_normalization(model)
    wrappers = (WeightNormalization, WeightStandardization, layers.SpectralNormalization)
    assert not [layer for layer in layer_tree(plain) if isinstance(layer, wrappers)]
    assert relative_difference(model, plain, sample_inputs(model, batch_size=4)) < 1e-6
    plain.save(tmp_path / "plain.keras")
    loaded = keras.saving.load_model(tmp_path / "plain.keras")
    assert relative_difference(plain, loaded, sample_inputs(model, batch_size=4)) == 0.0


def test_an_embedding():
    embedding = WeightNormalization(layers.Embedding(9, 3))
    model = randomize_weights(keras.Sequential([keras.Input((5,), dtype="int32"), embedding]))
    plain = remove_weight_normalization(model)
    assert relative_difference(model, plain, sample_inputs(model, batch_size=4)) < 1e-6


def test_spectral_normalization_after_training_steps():
    model = keras.Sequential([keras.Input((6,)), layers.SpectralNormalization(layers.Dense(3, name="dense"))])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 6)), np.ones((8, 3)), epochs=3, verbose=0)
    plain = remove_weight_normalization(model)
    assert type(plain.get_layer("dense")) is layers.Dense
    assert relative_difference(model, plain, sample_inputs(model)) == 0.0


def test_what_keras_casts_to_integers_stays():
    embedding = layers.SpectralNormalization(layers.Embedding(9, 3))
    model = keras.Sequential([keras.Input((5,), dtype="int32"), embedding])
    assert type(remove_weight_normalization(model).layers[0]) is layers.SpectralNormalization


def test_names_are_those_of_the_layers_inside_where_they_are_free():
    x = keras.Input((4,))
    y = WeightNormalization(layers.Dense(4, name="same"), name="first")(x)
    y = WeightNormalization(layers.Dense(4, name="same"), name="second")(y)
    y = layers.Dense(4, name="taken")(y)
    y = WeightNormalization(layers.Dense(4, name="taken"), name="third")(y)
    plain = remove_weight_normalization(keras.Model(x, y))
    assert [layer.name for layer in plain.layers[1:]] == ["same", "second", "taken", "third"]


def test_outputs_keep_the_names_by_which_losses_are_keyed():
    x = keras.Input((4,))
    heads = [WeightNormalization(layers.Dense(1, name=f"inner_{name}"), name=name)(x) for name in "ab"]
    model = keras.Model(x, heads)
    model.compile("sgd", {"a": "mse", "b": "mae"})
    plain = remove_weight_normalization(model)
    assert plain.output_names == ["a", "b"]
    plain.fit(np.zeros((2, 4)), {"a": np.zeros((2, 1)), "b": np.zeros((2, 1))}, verbose=0)


def test_nested_models_shared_layers_and_penalties():
    shared = WeightNormalization(layers.Dense(4, kernel_regularizer="l2", name="shared"))
    x = keras.Input((4,))
    body = keras.Model(x, shared(shared(x)), name="body")
    model = randomize_weights(keras.Sequential([keras.Input((4,)), body]))
    plain = remove_weight_normalization(model)
    assert relative_difference(model, plain, sample_inputs(model)) < 1e-6
    assert len(plain.get_layer("body").layers) == 2
    assert len(plain.losses) == 1


def test_frozen_stays_frozen():
    wrapped = WeightNormalization(layers.Dense(3, name="dense"))
    wrapped.trainable = False
    plain = remove_weight_normalization(keras.Sequential([keras.Input((4,)), wrapped]))
    assert not plain.get_layer("dense").trainable


def test_what_cannot_be_read_back_is_refused():
    wrapped = WeightNormalization(layers.Dense(3, activation=lambda x: x, name="dense"), name="wrapped")
    model = keras.Sequential([keras.Input((4,)), wrapped])
    with pytest.raises(RewriteError, match="`wrapped` cannot be made a plain layer"):
        remove_weight_normalization(model)
