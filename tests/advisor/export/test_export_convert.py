import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor.export.convert import convert
from advisor.export.errors import ExportError
from advisor.export.signature import read_signature
from advisor.litert.interpreter import LiteRTModel


class Branches(keras.Model):
    def call(self, inputs):
        return inputs if float(ops.sum(inputs)) > 0 else -inputs


def converted(model, outputs=("y",), **arguments):
    return convert(model, read_signature(model, None, 1), outputs, **arguments)


def test_operators_without_a_kernel_are_named_with_their_layers():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Activation(ops.arctanh, name="squash_1")])
    x = keras.Input((4,))
    model = keras.Model(x, ops.sinh(inner(x)), name="net")
    with pytest.raises(ExportError) as error:
        converted(model)
    assert "Sinh (layer 'net')" in str(error.value)
    assert "Atanh (layer 'squash_1')" in str(error.value)
    assert "allow_flex=True" in str(error.value)


def test_an_operator_that_flex_lacks_too_is_refused_even_with_flex():
    model = keras.Sequential([keras.Input((4,)), layers.Activation(ops.arctanh, name="squash")])
    with pytest.raises(ExportError, match=r"Received: Atanh \(layer 'squash'\)$"):
        converted(model, allow_flex=True)


def test_a_flex_model_is_converted_when_allowed():
    model = keras.Sequential([keras.Input((4,)), layers.Activation(ops.sinh)])
    with pytest.raises(RuntimeError, match="Flex delegate"):
        LiteRTModel(converted(model, allow_flex=True))


def test_python_branches_on_values_are_refused():
    model = Branches()
    model(np.ones((1, 3)))
    signature = read_signature(model, np.ones((1, 3)), 1)
    with pytest.raises(ExportError, match=r"cannot be traced.*keras.ops.*Received: inputs=") as error:
        convert(model, signature, ("y",))
    assert isinstance(error.value.__cause__, TypeError)


def test_variables_that_belong_to_no_layer_are_exported():
    outside = keras.Variable([2.0, 3.0])
    model = keras.Sequential([keras.Input((2,)), layers.Lambda(lambda x: x * outside)])
    received = LiteRTModel(converted(model))({"input": np.array([[1.0, 10.0]], "float32")})
    np.testing.assert_array_equal(received["y"], [[2.0, 30.0]])


def test_native_noise_stays_off_the_terminal(capfd):
    converted(keras.Sequential([keras.Input((4,)), layers.Dense(2)]))
    assert capfd.readouterr().err == ""
