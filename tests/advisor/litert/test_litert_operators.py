import keras
from keras import layers

from advisor.export.convert import convert
from advisor.export.signature import read_signature
from advisor.litert.operators import operator_table


def table(model, **arguments):
    return operator_table(convert(model, read_signature(model, None, 1), ("y",), **arguments))


def test_operators_are_counted_and_ordered():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    assert list(table(model).items()) == [("CONV_2D", 2), ("FULLY_CONNECTED", 1), ("MEAN", 1)]


def test_the_body_of_a_loop_is_counted():
    operators = table(keras.Sequential([keras.Input((5, 3)), layers.SimpleRNN(4)]))
    assert operators["WHILE"] == 1
    # One product for all inputs before the loop, one for the state inside it.
    assert operators["FULLY_CONNECTED"] == 2


def test_an_operator_newer_than_the_one_byte_codes_has_its_name():
    x = keras.Input((4,))
    assert table(keras.Model(x, keras.ops.gelu(x, approximate=False))) == {"GELU": 1}


def test_a_flex_operator_has_its_name():
    x = keras.Input((4,))
    assert table(keras.Model(x, keras.ops.sinh(x)), allow_flex=True) == {"FlexSinh": 1}
