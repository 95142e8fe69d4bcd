import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_normpack
from advisor.export import export_tflite
from advisor.export.convert import convert
from advisor.export.signature import read_signature
from advisor.export.trace import trace
from advisor.litert import lowering
from advisor.litert.choice import Choice
from advisor.litert.forms import forms_of
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.lowering import choose_forms, lowered
from advisor.litert.operators import is_loop_free
from advisor.litert.quantizable import takes_int8


def with_weights(model, seed=0):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def of_tokens(*recurrent, length=9):
    return keras.Sequential(
        [keras.Input((length,), dtype="int32"), layers.Embedding(20, 5, mask_zero=True), *recurrent, layers.Dense(3)]
    )


def tokens(length=9):
    """Sentences of several lengths, padded on the right and on the left, one of nothing but padding."""
    words = np.random.default_rng(1).integers(1, 20, (7, length))
    steps = np.arange(length)[None]
    kept = np.concatenate([steps < np.array([[length], [4], [1], [0]]), steps >= np.array([[2], [5], [length - 1]])])
    return np.where(kept, words, 0).astype("int32")


def masked_series():
    return keras.Sequential([keras.Input((6, 3)), layers.Masking(), layers.LSTM(4), layers.Dense(2)])


def series(shape=(6, 3)):
    x = np.random.default_rng(2).normal(size=(4, *shape)).astype("float32")
    x[1, 3:] = 0.0
    x[2, :4] = 0.0
    return x


def decoder():
    x = keras.Input((6, 3))
    _, hidden, carry = layers.LSTM(4, return_state=True)(x)
    return keras.Model(x, layers.LSTM(4)(x, initial_state=[hidden, carry]))


@keras.saving.register_keras_serializable(package="tests")
class Attending(layers.Layer):
    """A cell that reads the whole sequence beside its step."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.dense = layers.Dense(units, activation="tanh")

    def build(self, shape):
        self.dense.build((None, shape[-1] + self.units))

    def call(self, inputs, states):
        hidden = self.dense(ops.concatenate([inputs, states[0]], axis=-1))
        return 2.0 * hidden, [hidden]


def own_cell():
    return keras.Sequential([keras.Input((6, 3)), layers.RNN(Attending(4), return_sequences=True)])


def stacked_cells():
    cells = layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(3), layers.SimpleRNNCell(2)])
    return keras.Sequential([keras.Input((6, 3)), layers.Masking(), layers.RNN(cells)])


def convolutional():
    return keras.Sequential([keras.Input((4, 6, 6, 2)), layers.ConvLSTM2D(3, 3), layers.Flatten(), layers.Dense(2)])


def of_parts():
    return keras.Sequential([keras.Input((3, 5, 2)), layers.TimeDistributed(layers.LSTM(4)), layers.GRU(3)])


def attention_over_a_mask():
    x = keras.Input((9,), dtype="int32")
    y = layers.Bidirectional(layers.GRU(4, return_sequences=True))(layers.Embedding(20, 5, mask_zero=True)(x))
    return keras.Model(x, layers.Attention()([y, y]))


MODELS = {
    "tokens, LSTM": (lambda: of_tokens(layers.LSTM(4)), tokens),
    "tokens, two GRUs": (lambda: of_tokens(layers.GRU(4, return_sequences=True), layers.GRU(4)), tokens),
    "tokens, in both directions": (lambda: of_tokens(layers.Bidirectional(layers.LSTM(4))), tokens),
    "tokens, sequences in both directions": (
        lambda: of_tokens(layers.Bidirectional(layers.GRU(4, return_sequences=True), merge_mode="sum")),
        tokens,
    ),
    "attention behind": (attention_over_a_mask, tokens),
    "tokens, normalized": (lambda: of_tokens(keras_normpack.LayerNormLSTM(4)), tokens),
    "masked series": (masked_series, series),
    "initial states": (decoder, series),
    "cells": (stacked_cells, series),
    "a cell of one's own": (own_cell, series),
    "convolutional": (convolutional, lambda: series((4, 6, 6, 2))),
    "of parts": (of_parts, lambda: series((3, 5, 2))),
}
IN_THE_DEFAULT_RUN = {"tokens, sequences in both directions", "masked series", "initial states", "cells"}


def first_that_fits(call, allowed):
    form = next((form for form in forms_of(call.layer) if form.fits(call)), None)
    return None if form is None else Choice(form, {})


@pytest.mark.parametrize(
    "name", [name if name in IN_THE_DEFAULT_RUN else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_a_model_in_forms_predicts_what_keras_predicts(name, monkeypatch):
    monkeypatch.setattr(lowering, "choose_form", first_that_fits)
    make, data = MODELS[name]
    model, x = with_weights(make()), data()
    signature = read_signature(model, x, 1)
    forms = choose_forms(model, lambda: trace(model, signature, ("y",)))
    assert forms.lowered or name == "convolutional"
    with lowered(model, forms):
        exported = LiteRTModel(convert(model, signature, ("y",)))
    expected = np.asarray(model(x))
    for row, wanted in zip(x, expected, strict=True):
        (received,) = exported({signature.names[0]: row[None]}).values()
        np.testing.assert_allclose(received[0], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_exported_smaller_and_as_fast_as_by_keras(name, tmp_path):
    make, data = MODELS[name]
    report = export_tflite(with_weights(make()), tmp_path / "model.tflite", verify_data=data())
    assert report.verified_samples == len(data())
    assert report.size_bytes <= report.keras_size_bytes
    assert report.latency_ratio[1] < 1.1


@pytest.mark.slow
def test_sequences_of_open_length_are_exported_for_the_longest(tmp_path):
    model = with_weights(
        keras.Sequential([keras.Input((None, 3)), layers.Masking(), layers.GRU(4, name="memory"), layers.Dense(2)])
    )
    x = np.random.default_rng(0).normal(size=(1, 8, 3)).astype("float32")
    report = export_tflite(model, tmp_path / "model.tflite", verify_data=x)
    assert report.inputs == {"input": (1, 8, 3)}
    assert report.lowered in (("1 GRU as a lean loop",), ("1 GRU as a lean loop, two steps at a time",))
    short = np.pad(x[:, :5], ((0, 0), (0, 3), (0, 0)))
    exported = LiteRTModel.from_file(report.path)
    np.testing.assert_allclose(exported({"input": short})[report.outputs[0]], model(x[:, :5]), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_model_without_loops_takes_int8():
    model = with_weights(of_tokens(layers.Bidirectional(layers.LSTM(4)), length=12))
    signature = read_signature(model, None, 1)
    forms = choose_forms(model, lambda: trace(model, signature, ("y",)), allowed=takes_int8)
    with lowered(model, forms):
        flatbuffer = convert(model, signature, ("y",))
    assert takes_int8(flatbuffer)
    assert not is_loop_free(convert(model, signature, ("y",)))
