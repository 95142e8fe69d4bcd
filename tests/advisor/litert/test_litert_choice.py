"""Which form of a layer is chosen, and why."""

import gc

import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor.litert import choice as choice_module
from advisor.litert.calls import LayerCall
from advisor.litert.choice import OWN, choose_form
from advisor.litert.forms import Form

SHAPE = (1, 48, 48, 32)


@keras.saving.register_keras_serializable(package="tests")
class Cube(keras.Layer):
    """x³, with needless work in between."""

    def call(self, inputs):
        return inputs * inputs * inputs + 0 * ops.exp(-ops.square(inputs))


def exact(layer, inputs, mask):
    return inputs * inputs * inputs


def slow(layer, inputs, mask):
    y = inputs * inputs * inputs
    for _ in range(4):
        y = ops.sqrt(ops.square(y)) * ops.sign(inputs)
    return y


def inexact(layer, inputs, mask):
    return inputs * inputs * inputs * 1.0001


def large(layer, inputs, mask):
    constant = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    return inputs * inputs * inputs + 0.0 * (inputs * constant)


def broken(layer, inputs, mask):
    raise TypeError("no such form")


def unconvertible(layer, inputs, mask):
    return ops.sinh(inputs)


@pytest.fixture
def forms(monkeypatch):
    def provide(*computations, fits=lambda call: True):
        made = tuple(Form(compute.__name__, compute, fits) for compute in computations)
        monkeypatch.setattr(choice_module, "forms_of", lambda layer: made)

    return provide


def call():
    return LayerCall(Cube(), keras.KerasTensor(SHAPE))


def test_the_faster_form_is_chosen_whatever_the_order(forms):
    forms(slow, exact)
    choice = choose_form(call())
    assert choice.form.name == "exact"
    assert set(choice.costs) == {"slow", "exact", OWN}
    assert choice.cost.milliseconds < choice.own.milliseconds
    assert choice.cost.operators == 2
    assert choice.cost.size_bytes < choice.own.size_bytes


def test_a_layer_stays_as_it_is_where_no_form_is_faster(forms):
    forms(slow)
    choice = choose_form(call())
    assert choice.form is None
    assert choice.cost == choice.own


def test_forms_that_are_inexact_or_large_or_cannot_be_converted_are_left_out(forms):
    forms(inexact, broken, unconvertible, large)
    choice = choose_form(call())
    assert set(choice.costs) == {OWN}
    assert choice.form is None


def test_a_layer_without_a_form_that_fits_stays_as_it_is(forms):
    forms(exact, fits=lambda call: False)
    choice = choose_form(call())
    assert choice.form is None
    assert set(choice.costs) == {OWN}


def test_a_layer_that_cannot_be_converted_has_no_choice():
    assert choose_form(LayerCall(layers.Activation(ops.sinh), keras.KerasTensor(SHAPE))) is None


def test_equal_layers_are_measured_once_in_a_process(forms):
    measured = []

    def counted(layer, inputs, mask):
        measured.append(layer)
        return exact(layer, inputs, mask)

    forms(counted)
    first = choose_form(LayerCall(Cube(name="one"), keras.KerasTensor(SHAPE)))
    assert choose_form(LayerCall(Cube(name="other"), keras.KerasTensor(SHAPE))) is first
    assert len({id(layer) for layer in measured}) == 1
    choose_form(LayerCall(Cube(), keras.KerasTensor((1, 2, 2, 3))))
    assert len({id(layer) for layer in measured}) == 2


def test_an_interruption_comes_through(forms):
    def interrupted(layer, inputs, mask):
        raise KeyboardInterrupt

    forms(interrupted)
    gc.unfreeze()
    with pytest.raises(KeyboardInterrupt):
        choose_form(call())
    assert gc.get_freeze_count() == 0


def test_group_normalization_is_computed_in_less_time():
    layer = layers.GroupNormalization(8)
    layer.build(SHAPE)
    choice = choose_form(LayerCall(layer, keras.KerasTensor(SHAPE)))
    assert choice.form is not None
    assert choice.cost.milliseconds < 0.8 * choice.own.milliseconds
