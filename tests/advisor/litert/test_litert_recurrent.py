import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_normpack
from advisor.litert.calls import LayerCall
from advisor.litert.choice import OWN, choose_form
from advisor.litert.conversion import convert_function
from advisor.litert.forms.fused_lstm import FORM_FUSED
from advisor.litert.forms.loop import FORM_LOOP, FORM_LOOP_OF_PAIRS
from advisor.litert.forms.unrolled import FORM_UNROLLED, FORM_UNROLLED_WITHOUT_NEED
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.operators import is_loop_free, operator_table
from advisor.litert.quantizable import LSTM_OPERATOR, takes_dynamic_range, takes_int8
from tests.advisor.litert.recurrences import outputs_of

ANY_CELL = (FORM_LOOP, FORM_LOOP_OF_PAIRS, FORM_UNROLLED)


def built(layer, shape, seed=0):
    """The layer with all weights drawn anew, biases too, large enough that gates open and close."""
    layer.build(shape)
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
    return layer


def draw(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def masks_of(batch, length):
    """Sequences padded on the right, on the left, with holes, and without a step that counts."""
    steps = np.arange(length)[None]
    holes = np.random.default_rng(3).random((batch, length)) < 0.5
    return [
        np.broadcast_to(mask, (batch, length))
        for mask in (steps < length, steps < 3, steps >= 3, steps == length - 1, holes, steps < 0)
    ]


def converted(compute, shape, masked=False):
    specs = {"x": tf.TensorSpec(shape, tf.float32, "x")}
    if masked:
        specs["mask"] = tf.TensorSpec(shape[:2], tf.bool, "mask")

    def serve(x, mask=None):
        flat = keras.tree.flatten(compute(x, mask))
        return {f"y{index}": tf.identity(y) for index, y in enumerate(flat)}

    return convert_function(tf.function(serve, autograph=False).get_concrete_function(**specs))


def form_of(form, layer, shape, masked=False):
    return converted(lambda x, mask: form.compute(layer, x, mask), shape, masked)


def outputs(model, **feeds):
    received = model({name: np.ascontiguousarray(array) for name, array in feeds.items()})
    return [received[name] for name in sorted(received)]


def call_of(layer, shape, masked=False):
    mask = keras.KerasTensor(shape[:2], "bool") if masked else None
    return LayerCall(layer, keras.KerasTensor(shape, "float32"), mask)


KINDS = {
    "lstm": lambda: layers.LSTM(5, return_sequences=True),
    "gru": lambda: layers.GRU(5, return_sequences=True),
    "first_gru": lambda: layers.GRU(5, reset_after=False, return_sequences=True),
    "simple": lambda: layers.SimpleRNN(5, return_sequences=True),
}


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("lstm", FORM_FUSED),
        ("lstm", FORM_LOOP),
        ("gru", FORM_LOOP_OF_PAIRS),
        ("first_gru", FORM_LOOP),
        ("simple", FORM_UNROLLED),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_form_computes_the_recurrence_of_the_paper(kind, form):
    shape = (2, 6, 3)
    layer = built(KINDS[kind](), shape)
    model = LiteRTModel(form_of(form, layer, shape))
    for seed in range(3):
        x = draw(shape, seed)
        np.testing.assert_allclose(outputs(model, x=x)[0], outputs_of(kind, layer, x), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 6, 3), (3, 6, 8)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_all_forms_compute_the_recurrence_of_the_paper_with_masks(kind, shape):
    layer = built(KINDS[kind](), shape)
    for form in ANY_CELL:
        model = LiteRTModel(form_of(form, layer, shape, masked=True))
        for seed, mask in enumerate(masks_of(*shape[:2])):
            x = draw(shape, seed)
            expected = outputs_of(kind, layer, x, mask)
            np.testing.assert_allclose(outputs(model, x=x, mask=mask)[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", [FORM_LOOP, FORM_UNROLLED], ids=lambda form: form.name)
def test_masked_steps_carry_the_states_on(form):
    shape = (1, 6, 3)
    layer = built(layers.GRU(5, return_sequences=True), shape)
    model = LiteRTModel(form_of(form, layer, shape, masked=True))
    for seed, mask in enumerate(masks_of(1, 6)):
        x = draw(shape, seed)
        expected = outputs_of("gru", layer, x, mask)
        np.testing.assert_allclose(outputs(model, x=x, mask=mask)[0], expected, rtol=1e-5, atol=1e-6)


class CellOfOnesOwn(layers.GRUCell):
    """Of a class that no form knows, so that it is called step by step."""


LAYERS = {
    "states": lambda: layers.LSTM(4, return_state=True),
    "backwards": lambda: layers.LSTM(4, go_backwards=True, return_sequences=True, return_state=True),
    "no bias": lambda: layers.GRU(4, use_bias=False),
    "first GRU, no bias": lambda: layers.GRU(4, reset_after=False, use_bias=False),
    "other activations": lambda: layers.LSTM(4, activation="softsign", recurrent_activation="hard_sigmoid"),
    "zeros for masked steps": lambda: layers.GRU(4, return_sequences=True, zero_output_for_mask=True),
    "zero for a masked last step": lambda: layers.LSTM(4, zero_output_for_mask=True),
    "dropout of training": lambda: layers.LSTM(4, dropout=0.4, recurrent_dropout=0.3),
    "unrolled": lambda: layers.GRU(4, unroll=True),
    "simple, relu": lambda: layers.SimpleRNN(4, activation="relu", go_backwards=True),
    "cell": lambda: layers.RNN(layers.LSTMCell(4), return_sequences=True),
    "cells": lambda: layers.RNN(
        layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(3)]), return_sequences=True, return_state=True
    ),
    "wider than its input": lambda: layers.RNN(CellOfOnesOwn(9), return_sequences=True),
    "normalized LSTM": lambda: keras_normpack.LayerNormLSTM(4, return_sequences=True, return_state=True),
    "normalized carry": lambda: keras_normpack.LayerNormLSTM(4, norm_carry=True, return_state=True, use_bias=False),
    "normalized GRU": lambda: keras_normpack.LayerNormGRU(4, return_sequences=True),
    "normalized GRU, no bias": lambda: keras_normpack.LayerNormGRU(4, use_bias=False),
    "normalized simple": lambda: layers.RNN(keras_normpack.LayerNormSimpleRNNCell(4)),
}


def held_against_keras(layer, form, shape, masked):
    model = LiteRTModel(form_of(form, layer, shape, masked))
    for seed, mask in enumerate(masks_of(*shape[:2]) if masked else [None] * 3):
        x = draw(shape, seed)
        feeds = {"x": x} if mask is None else {"x": x, "mask": mask}
        expected = keras.tree.flatten(layer(x, mask=None if mask is None else tf.constant(mask)))
        received = outputs(model, **feeds)
        assert len(expected) == len(received)
        for a, b in zip(expected, received, strict=True):
            np.testing.assert_allclose(b, a, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["states", "wider than its input"])
def test_a_masked_loop_returns_what_keras_returns(name):
    shape = (2, 5, 3)
    held_against_keras(built(LAYERS[name](), shape), FORM_LOOP, shape, masked=True)


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("name", LAYERS)
def test_every_form_returns_what_keras_returns(name, masked):
    shape = (2, 6, 5)
    layer = built(LAYERS[name](), shape)
    for form in ANY_CELL:
        held_against_keras(layer, form, shape, masked)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"return_sequences": True}, {"go_backwards": True, "return_sequences": True}, {"use_bias": False}],
    ids=str,
)
def test_the_operator_returns_what_keras_returns(arguments, batch):
    shape = (batch, 7, 3)
    layer = built(layers.LSTM(5, **arguments), shape)
    held_against_keras(layer, FORM_FUSED, shape, masked=False)
    assert operator_table(form_of(FORM_FUSED, layer, shape))[LSTM_OPERATOR] == 1


def test_the_operator_forgets_between_calls():
    # LiteRT's LSTM keeps its states from call to call; a NaN in them would stay for good.
    shape = (1, 7, 3)
    layer = built(layers.LSTM(5, return_sequences=True), shape)
    flatbuffer = form_of(FORM_FUSED, layer, shape)
    assert is_loop_free(flatbuffer)
    assert not takes_int8(flatbuffer)
    assert not takes_dynamic_range(flatbuffer)
    operators = operator_table(flatbuffer)
    assert operators[LSTM_OPERATOR] == 1
    assert not {"WHILE", "FULLY_CONNECTED", "TANH", "LOGISTIC"} & set(operators)
    model = LiteRTModel(flatbuffer)
    (first,) = outputs(model, x=draw(shape, 0))
    with_nan = draw(shape, 1)
    with_nan[0, 2, 1] = np.nan
    for x in (100 * draw(shape, 2), with_nan, np.full(shape, np.inf, "float32")):
        outputs(model, x=x)
        np.testing.assert_array_equal(outputs(model, x=draw(shape, 0))[0], first)
    np.testing.assert_allclose(first, layer(draw(shape, 0)), rtol=1e-5, atol=1e-6)


def test_a_loop_holds_only_what_depends_on_the_states():
    shape = (1, 12, 3)
    layer = built(layers.LSTM(5), shape)
    lean, own = form_of(FORM_LOOP, layer, shape), converted(lambda x, mask: layer(x), shape)
    # In the loop one product, the row of the step, the counter and the gates; before it one product of all steps.
    assert operator_table(lean) == {
        "ADD": 4,
        "LOGISTIC": 3,
        "MUL": 3,
        "FULLY_CONNECTED": 2,
        "TANH": 2,
        "GATHER": 1,
        "LESS": 1,
        "RESHAPE": 1,
        "SPLIT": 1,
        "WHILE": 1,
    }
    assert len(lean) < len(own)
    assert not is_loop_free(lean)


def test_the_operator_is_for_what_it_computes():
    shape = (1, 7, 3)

    def fits(layer, masked=False):
        return FORM_FUSED.fits(call_of(layer, shape, masked))

    assert fits(layers.LSTM(4))
    assert fits(layers.RNN(layers.LSTMCell(4)))
    assert not fits(layers.LSTM(4), masked=True)
    assert not fits(layers.LSTM(4, return_state=True))
    assert not fits(layers.LSTM(4, activation="relu"))
    assert not fits(layers.LSTM(4, recurrent_activation="hard_sigmoid"))
    assert not fits(layers.RNN(keras_normpack.LayerNormLSTMCell(4)))


def test_what_no_form_is_for():
    shape = (1, 7, 3)
    stateful = layers.LSTM(4, stateful=True)
    assert not FORM_LOOP.fits(call_of(stateful, shape))
    with_dropout = layers.RNN(layers.StackedRNNCells([layers.SimpleRNNCell(4, dropout=0.5)]))
    assert not FORM_LOOP.fits(call_of(with_dropout, shape))
    two = [keras.KerasTensor(shape), keras.KerasTensor(shape)]
    assert not FORM_LOOP.fits(LayerCall(layers.LSTM(4), two))
    sequences = layers.LSTM(4, return_sequences=True)
    assert not FORM_LOOP_OF_PAIRS.fits(call_of(sequences, (1, 9, 3)))
    assert FORM_LOOP_OF_PAIRS.fits(call_of(sequences, (1, 10, 3)))
    assert FORM_UNROLLED_WITHOUT_NEED.fits(call_of(sequences, shape))
    assert not FORM_UNROLLED.fits(call_of(sequences, shape))
    assert FORM_UNROLLED.fits(call_of(layers.LSTM(4, unroll=True), shape))


@pytest.mark.parametrize("cls", [pytest.param(layers.LSTM, marks=pytest.mark.slow), layers.GRU])
def test_the_form_chosen_is_faster_and_smaller_than_the_layer_as_it_is(cls):
    shape = (1, 32, 8)
    choice = choose_form(call_of(built(cls(16, return_sequences=True), shape), shape))
    assert choice.form is not None
    assert choice.cost.milliseconds < 0.7 * choice.own.milliseconds
    assert choice.cost.size_bytes < choice.own.size_bytes
    assert FORM_UNROLLED_WITHOUT_NEED.name not in choice.costs


def test_without_loops_steps_are_written_out():
    shape = (1, 10, 3)
    layer = built(layers.LSTM(4), shape)
    choice = choose_form(call_of(layer, shape), allowed=takes_int8)
    assert choice.form is FORM_UNROLLED_WITHOUT_NEED
    assert set(choice.costs) == {FORM_UNROLLED_WITHOUT_NEED.name, OWN}


def test_nothing_is_chosen_where_only_loops_are_left():
    shape = (1, 10, 3)
    stacked = layers.RNN(layers.StackedRNNCells([layers.SimpleRNNCell(4, dropout=0.5)]))
    assert choose_form(call_of(built(stacked, shape), shape), allowed=takes_int8) is None
