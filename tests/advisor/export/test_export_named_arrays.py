import keras
import numpy as np
import pytest
from keras import layers

from advisor.export import ExportError
from advisor.export.named_arrays import data_from_arrays

A, B, Y = np.ones((4, 3)), np.zeros((4, 3)), np.arange(4)


def one_input():
    return keras.Sequential([keras.Input((3,), name="row"), layers.Dense(2)])


def two_inputs(names=("left", "right")):
    inputs = [keras.Input((3,), name=name) for name in names]
    return keras.Model(inputs, inputs[0] + inputs[1])


def dictionary():
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    return keras.Model({"left": left, "right": right}, left + right)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("build", "arrays", "data"),
    [
        (one_input, {"row": A}, A),
        (one_input, {"x": A}, A),
        (one_input, {"x": A, "y": Y}, (A, Y)),
        (one_input, {"y": Y, "row": A}, (A, Y)),
        (two_inputs, {"right": B, "left": A}, [A, B]),
        (two_inputs, {"right": B, "left": A, "y": Y}, ([A, B], Y)),
        # Here y is an input.
        (lambda: two_inputs(("x", "y")), {"y": B, "x": A}, [A, B]),
        (dictionary, {"left": A, "right": B}, {"left": A, "right": B}),
        (Subclassed, {"x": A, "y": Y}, (A, Y)),
        (Subclassed, {"b": B, "a": A}, {"a": A, "b": B}),
    ],
)
def test_arrays_come_in_the_structure_of_the_model(build, arrays, data):
    received = data_from_arrays(build(), arrays)
    keras.tree.assert_same_structure(received, data)
    for one, other in zip(keras.tree.flatten(received), keras.tree.flatten(data), strict=True):
        assert one is other


@pytest.mark.parametrize(
    ("build", "arrays", "message"),
    [
        (one_input, {"column": A}, r"by name \(row, or x\), and labels as y or none. Received: column"),
        (one_input, {"x": A, "row": A}, "Received: x, row"),
        (one_input, {"row": A, "spare": A}, "Received: row, spare"),
        (one_input, {"y": Y}, "Received: y"),
        (one_input, {}, "Received: no arrays"),
        (two_inputs, {"left": A}, r"by name \(left, right\), and labels"),
        (two_inputs, {"x": A}, r"by name \(left, right\), and labels"),
        (Subclassed, {"x": A, "other": B}, "Received: x, other"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(build, arrays, message):
    with pytest.raises(ExportError, match=message):
        data_from_arrays(build(), arrays)
