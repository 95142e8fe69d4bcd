import keras
from keras import layers, ops

from advisor.export.convert import convert
from advisor.export.flex import flex_layers
from advisor.export.layer_scopes import read_layer_scopes
from advisor.export.signature import read_signature
from advisor.export.trace import trace


def flex_of(model):
    signature = read_signature(model, None, 1)
    names = trace(model, signature).outputs
    flatbuffer = convert(model, signature, names, allow_flex=True)
    return flex_layers(flatbuffer, read_layer_scopes(model, signature, names))


def wave(name):
    return layers.Activation(ops.sinh, name=name)


def test_an_operator_is_named_with_every_layer_that_needs_it():
    stack = [wave("first"), layers.Dense(3), wave("second"), layers.Activation(ops.cosh, name="third"), layers.ReLU()]
    assert flex_of(keras.Sequential([keras.Input((4,)), *stack])) == {
        "FlexCosh": ("third",), "FlexSinh": ("first", "second"),
    }  # fmt: skip


def test_a_layer_that_makes_the_output_is_found():
    # Tensors that are outputs lose their names.
    assert flex_of(keras.Sequential([keras.Input((4,)), wave("last")])) == {"FlexSinh": ("last",)}


def test_a_layer_inside_a_nested_model_is_named():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4), wave("deep")], name="inner")
    x = keras.Input((4,))
    assert flex_of(keras.Model(x, layers.Dense(2)(inner(x)))) == {"FlexSinh": ("deep",)}


def test_without_flex_operators_nothing_is_named():
    assert flex_of(keras.Sequential([keras.Input((4,)), layers.Dense(2)])) == {}
