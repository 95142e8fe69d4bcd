import keras
import numpy as np
import pytest
from keras import layers

from advisor.litert.calls import calls_replaced, read_call

X = np.ones((2, 3, 4), "float32")


def test_a_call_is_its_inputs_and_its_mask():
    layer = layers.LSTM(2)
    call = read_call(layer, layer.call, (X,), {"mask": X[..., 0] > 0, "training": False})
    assert call.inputs is X
    assert call.mask.shape == (2, 3)
    assert call.key != read_call(layer, layer.call, (X,), {}).key
    assert call.described().key == call.key


@pytest.mark.parametrize("extra", [{"training": True}, {"initial_state": [X[:, 0, :2], X[:, 0, :2]]}])
def test_a_call_with_more_to_it_is_not_read(extra):
    layer = layers.LSTM(2)
    assert read_call(layer, layer.call, (X,), extra) is None


def test_layers_compute_in_another_way_within_the_block_only():
    shared = layers.Dense(4)
    model = keras.Sequential([keras.Input((3, 4)), shared, layers.ReLU(), shared])
    before = np.asarray(model(X))
    with calls_replaced([shared, shared], lambda layer, original: lambda inputs: original(inputs) * 0 + 7):
        np.testing.assert_array_equal(model(X), np.full((2, 3, 4), 7))
    np.testing.assert_array_equal(model(X), before)
    assert "call" not in vars(shared)


def test_an_error_leaves_every_layer_as_it_was():
    one, other = layers.Dense(4), layers.Dense(4)

    def make(layer, original):
        if layer is other:
            raise KeyboardInterrupt
        return original

    with pytest.raises(KeyboardInterrupt), calls_replaced([one, other], make):
        pass
    assert "call" not in vars(one)
    with pytest.raises(ZeroDivisionError), calls_replaced([one], lambda layer, original: original):
        raise ZeroDivisionError
    assert "call" not in vars(one)


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
