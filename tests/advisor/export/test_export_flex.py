import keras
import pytest
from keras import layers, ops

from advisor.export.convert import convert
from advisor.export.flex import flex_layers
from advisor.export.layer_names import layer_in, layer_names
from advisor.export.signature import read_signature
from advisor.export.trace import trace


def flex_of(model):
    signature = read_signature(model, None, 1)
    traced = trace(model, signature)
    return flex_layers(
        convert(model, signature, traced.outputs, allow_flex=True), traced.function.graph, layer_names(model)
    )


def wave(name):
    return layers.Activation(ops.sinh, name=name)


def test_an_operator_is_named_with_every_layer_that_needs_it():
    stack = [wave("first"), layers.Dense(3), wave("second"), layers.Activation(ops.cosh, name="third"), layers.ReLU()]
    assert flex_of(keras.Sequential([keras.Input((4,)), *stack])) == {
        "FlexCosh": ("third",), "FlexSinh": ("first", "second"),
    }  # fmt: skip


def test_a_layer_that_makes_the_output_is_found_in_the_graph():
    # Tensors that are outputs lose their names.
    assert flex_of(keras.Sequential([keras.Input((4,)), wave("last")])) == {"FlexSinh": ("last",)}


def test_a_layer_inside_a_nested_model_is_named():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4), wave("deep")], name="inner")
    x = keras.Input((4,))
    assert flex_of(keras.Model(x, layers.Dense(2)(inner(x)))) == {"FlexSinh": ("deep",)}


def test_without_flex_operators_nothing_is_named():
    assert flex_of(keras.Sequential([keras.Input((4,)), layers.Dense(2)])) == {}


@pytest.mark.parametrize(
    ("path", "layer"),
    [
        ("net/dense/MatMul", "dense"),
        ("net_1/dense_1/MatMul", "dense_1"),
        ("net_1/dense_2/MatMul", "dense"),
        ("PartitionedCall:0", None),
        ("", None),
    ],
)
def test_the_innermost_layer_is_read_from_a_path(path, layer):
    assert layer_in(path, frozenset({"net", "dense", "dense_1"})) == layer
