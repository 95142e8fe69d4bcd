"""Edits as changes of code, and nodes in words."""

import keras
import pytest
from keras import layers

from advisor.graph import (
    Configure,
    InsertBefore,
    LayerSpec,
    Remove,
    Replace,
    SetTrainable,
    Wrap,
    read_graph,
)
from advisor.graph.node_description import describe_node
from advisor.graph.source_code import change_in_code
from keras_normpack import WeightNormalization

DENSE = "keras.layers.Dense(units=4, name='hidden')"


@pytest.fixture(scope="module")
def graph():
    stack = [layers.Dense(4, name="hidden"), layers.Dropout(0.5, name="drop"), layers.Dense(2, "softmax", name="out")]
    return read_graph(keras.Sequential([keras.Input((3,)), *stack]))


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (Configure("hidden", {"use_bias": False}), DENSE, "keras.layers.Dense(units=4, use_bias=False, name='hidden')"),
        (Replace("drop", LayerSpec(layers.GaussianDropout, {"rate": 0.1})),
         "keras.layers.Dropout(rate=0.5, name='drop')", "keras.layers.GaussianDropout(rate=0.1, name='drop')"),
        (Remove("drop"), "keras.layers.Dropout(rate=0.5, name='drop')", None),
        (InsertBefore("out", (LayerSpec(layers.ReLU), LayerSpec(layers.Dropout, {"rate": 0.1, "name": "d"}))),
         None, "keras.layers.ReLU()\nkeras.layers.Dropout(rate=0.1, name='d')"),
        (Wrap("hidden", WeightNormalization), DENSE, f"WeightNormalization({DENSE})"),
        (SetTrainable("hidden", False), None, "model.get_layer('hidden').trainable = False"),
        (Configure("hidden", {}, weights=lambda read: {}), None, None),
    ],
    ids=["configure", "replace", "remove", "insert", "wrap", "freeze", "weights only"],
)  # fmt: skip
def test_an_edit_is_a_change_of_code(graph, edit, before, after):
    change = change_in_code(edit, graph)
    assert (change.before, change.after) == (before, after)
    assert bool(change.where) == (before is None)


def test_code_makes_the_layer_it_tells_of(graph):
    code = describe_node(graph.nodes["out"]).code
    layer = eval(code, {"keras": keras})
    assert layer.get_config() == graph.nodes["out"].operation.get_config()


def test_a_node_in_words(graph):
    description = describe_node(graph.nodes["out"])
    assert description.arguments == {"units": 2, "activation": "softmax"}
    assert description.values["use_bias"] is True
    assert (description.activation, description.trainable, description.dtype) == ("softmax", True, "float32")
    assert (description.input_shapes, description.output_shapes) == (((None, 4),), ((None, 2),))
    assert describe_node(graph.nodes["drop"]).trainable is None


def test_a_layer_of_a_nested_model_is_reached_through_it():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(3, name="deep")], name="inner")
    nested = read_graph(keras.Sequential([keras.Input((3,)), inner], name="outer"))
    after = change_in_code(SetTrainable("inner/deep", False), nested).after
    assert after == "model.get_layer('inner').get_layer('deep').trainable = False"


class Silent(layers.Layer):
    """A layer that does not tell its arguments."""

    def __init__(self, width, **arguments):
        super().__init__(**arguments)
        self.width = width

    def get_config(self):
        raise NotImplementedError

    def call(self, x):
        return x


def test_a_layer_that_does_not_tell_its_arguments_has_no_code():
    image = keras.Input((3,))
    description = describe_node(read_graph(keras.Model(image, Silent(3, name="silent")(image))).nodes["silent"])
    assert (description.kind, description.code, description.arguments) == ("Silent", None, {})


def test_an_operation_is_no_layer():
    image = keras.Input((3,))
    (node,) = (node for node in read_graph(keras.Model(image, keras.ops.exp(image))).leaves() if not node.is_input)
    description = describe_node(node)
    assert (description.kind, description.code, description.dtype) == ("Exp", None, None)
