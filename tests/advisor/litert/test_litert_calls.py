import keras
import numpy as np
import pytest
from keras import layers

from advisor.litert.calls import calls_replaced


def adding(number):
    return lambda layer, original: lambda x: original(x) + number


def test_blocks_may_be_nested_and_leave_the_layer_as_it_was():
    model = keras.Sequential([keras.Input((2,)), layers.Activation("relu")])
    layer, x = model.layers[0], np.ones((1, 2), "float32")
    with calls_replaced([layer], adding(1.0)):
        with calls_replaced([layer, layer], adding(10.0)):
            assert float(model(x)[0, 0]) == 12.0
        assert float(model(x)[0, 0]) == 2.0
    assert float(model(x)[0, 0]) == 1.0
    assert "call" not in vars(layer)


def test_layers_are_left_as_they_were_when_replacing_fails():
    first, second = layers.ReLU(), layers.ReLU()

    def make(layer, original):
        if layer is second:
            raise RuntimeError
        return original

    with pytest.raises(RuntimeError), calls_replaced([first, second], make):
        pass
    assert "call" not in vars(first)
