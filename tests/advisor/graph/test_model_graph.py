"""What `ModelGraph` says of nested, shared, multi-input and subclassed models."""

import keras
import pytest
import tensorflow as tf
from keras import layers

from advisor.graph import Source, read_graph


def encoder():
    x = keras.Input((4,), name="encoder_in")
    hidden = layers.Dense(4, name="hidden")(x)
    return keras.Model(x, layers.ReLU(name="relu")(hidden), name="encoder")


def siamese():
    shared = encoder()
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    merged = layers.Concatenate(name="merge")([shared(a), shared(b)])
    return keras.Model([a, b], layers.Dense(1, name="out")(merged))


def test_nodes_stand_in_order_and_paths_name_the_nesting():
    graph = read_graph(siamese())
    assert list(graph.scopes) == ["", "encoder"]
    assert {"a", "b", "encoder", "encoder#2", "encoder/hidden", "encoder/relu", "merge", "out"} <= set(graph.nodes)
    leaves = [node.path for node in graph.leaves()]
    assert set(leaves[:2]) == {"a", "b"}
    assert leaves[2:] == ["encoder/hidden", "encoder/relu", "merge", "out"]
    assert graph.nodes["encoder/hidden"].input_shapes == ((None, 4),)
    assert graph.nodes["merge"].output_shapes == ((None, 8),)


def test_producers_and_consumers_look_through_nested_models():
    graph = read_graph(siamese())
    assert graph.producers("encoder/hidden") == ("a", "b")
    assert graph.consumers("a") == ("encoder/hidden",)
    assert graph.producers("merge") == ("encoder/relu",)
    assert graph.consumers("encoder/relu") == ("merge",)
    assert graph.upstream("out") == {"a", "b", "encoder/hidden", "encoder/relu", "merge"}
    assert graph.downstream("encoder/hidden") == {"encoder/relu", "merge", "out"}


def test_calls_of_shared_layers_and_models():
    graph = read_graph(siamese())
    assert graph.calls_of("encoder#2") == ("encoder", "encoder#2")
    assert graph.is_shared("encoder")
    assert not graph.is_shared("encoder/hidden")
    x = keras.Input((4,))
    dense = layers.Dense(4, name="dense")
    graph = read_graph(keras.Model(x, dense(dense(x))))
    assert graph.calls_of("dense#2") == ("dense", "dense#2")
    assert graph.producers("dense#2") == ("dense",)
    assert graph.nodes["dense#2"].name == "dense"


def test_a_layer_shared_between_nested_models_has_all_its_calls():
    dense = layers.Dense(4, name="dense")
    first = keras.Sequential([keras.Input((4,)), dense], name="first")
    second = keras.Sequential([keras.Input((4,)), dense, layers.ReLU()], name="second")
    x = keras.Input((4,))
    graph = read_graph(keras.Model(x, second(first(x))))
    assert graph.calls_of("first/dense") == ("first/dense", "second/dense")


def test_inputs_outputs_and_sole_consumers():
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    h = layers.Dense(4, name="h")(x)
    total = layers.Add(name="total")([h, y])
    model = keras.Model({"y": y, "x": x}, {"first": h, "second": layers.Dense(2, name="end")(total)})
    graph = read_graph(model)
    assert [node.path for node in graph.inputs] == ["x", "y"]
    assert graph.outputs == (Source("h"), Source("end"))
    assert graph.is_output("h")
    assert not graph.is_output("total")
    assert graph.sole_consumer("total") == "end"
    assert graph.sole_consumer("h") is None  # the model's output reads it as well
    assert graph.consumers("end") == ()


def test_an_operation_with_several_outputs():
    x = keras.Input((6,), name="x")
    left, right = keras.ops.split(x, 2, axis=-1)
    graph = read_graph(keras.Model(x, layers.Subtract(name="minus")([right, left])))
    assert graph.sources("minus") == (Source("split", 1), Source("split", 0))
    assert graph.producers("minus") == ("split",)
    assert not graph.nodes["split"].is_layer
    assert graph.nodes["split"].output_shapes == ((None, 3), (None, 3))


def test_outputs_of_nested_models_keep_their_positions():
    x = keras.Input((4,))
    inner = keras.Model(x, {"b": layers.Dense(2, name="b")(x), "a": layers.Dense(3, name="a")(x)}, name="inner")
    outer = keras.Input((4,))
    parts = inner(outer)
    graph = read_graph(keras.Model(outer, layers.ReLU(name="end")(parts["b"])))
    assert graph.producers("end") == ("inner/b",)
    assert graph.consumers("inner/a") == ()


def test_masks_stand_apart_from_the_data():
    x = keras.Input((5,), dtype="int32")
    h = layers.Embedding(9, 4, mask_zero=True, name="embedding")(x)
    graph = read_graph(keras.Model(x, layers.LSTM(2, name="lstm")(h)))
    lstm = graph.nodes["lstm"]
    assert lstm.sources == (Source("embedding"),)
    assert [graph.nodes[source.path].operation.name for source in lstm.mask_sources] == ["not_equal"]


def test_wrapped_layers_are_one_leaf():
    x = keras.Input((5, 4))
    h = layers.TimeDistributed(layers.Dense(3), name="each")(x)
    graph = read_graph(keras.Model(x, layers.Bidirectional(layers.GRU(2), name="both")(h)))
    assert [node.path for node in graph.leaves() if not node.is_input] == ["each", "both"]
    assert all(scope.kind != "opaque" for scope in graph.scopes.values())


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inside = layers.Dense(4, name="inside")

    def call(self, x):
        return self.inside(x)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.part = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="known")], name="part")
        self.block = Block(name="block")
        self.pair = [layers.Dense(2, name="twin"), layers.Dense(2, name="twin")]

    def call(self, x):
        x = self.block(self.part(x))
        return self.pair[0](x) + self.pair[1](x)


def test_subclassed_models_are_listed_and_refused():
    graph = read_graph(Subclassed())
    assert graph.root.kind == "opaque"
    assert {"part", "part/known", "block", "block/inside", "twin", "twin~2"} <= set(graph.nodes)
    assert graph.scopes["part"].kind == "sequential"
    for path, reason in (("part/known", "subclassed"), ("twin", "subclassed"), ("block/inside", "`block` (Block)")):
        assert reason in graph.refusal(path)
    assert graph.inputs == graph.outputs == ()


def test_the_code_of_a_hand_written_block_is_read():
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(1, name="out")(Block(name="block")(x)))
    graph = read_graph(model)
    assert graph.scopes["block"].kind == "traced"
    assert "`block` (Block)" in graph.refusal("block/inside")
    assert graph.refusal("out") is graph.refusal("block") is None
    assert graph.producers("out") == ("block/inside",)
    assert graph.nodes["block/inside"].output_shapes == ((None, 4),)


def test_a_model_class_with_its_own_constructor_is_read_but_refused():
    class Classifier(keras.Model):
        def __init__(self, units):
            x = keras.Input((4,))
            super().__init__(x, layers.Dense(units, name="dense")(x))

    graph = read_graph(Classifier(3))
    assert graph.root.kind == "functional"
    assert "Classifier" in graph.refusal("dense")


def test_a_sequential_has_its_input_and_an_unbuilt_one_is_opaque():
    graph = read_graph(keras.Sequential([layers.Input((3,), name="in"), layers.Dense(1, name="out")]))
    assert list(graph.nodes) == ["in", "out"]
    assert graph.root.kind == "sequential"
    unbuilt = read_graph(keras.Sequential([layers.Dense(1, name="out")]))
    assert unbuilt.root.kind == "opaque"
    assert list(unbuilt.nodes) == ["out"]


def test_only_models_are_read():
    with pytest.raises(TypeError, match="Received: <Dense"):
        read_graph(layers.Dense(1))


def test_a_model_inside_a_block_whose_code_needs_values_has_no_known_sources():
    class Encoder(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.inner = encoder()

        def call(self, x):
            return self.inner(tf.identity(x))

    x = keras.Input((4,))
    graph = read_graph(keras.Model(x, layers.Dense(1, name="out")(Encoder()(x))))
    assert graph.scopes["block"].kind == "opaque"
    assert graph.producers("block/encoder/hidden") == ()
    assert graph.consumers("block/encoder/hidden") == ("block/encoder/relu",)
    assert "`block` (Encoder)" in graph.refusal("block/encoder/hidden")


def test_a_model_inside_a_wrapper_is_listed_and_held_by_it():
    frames = keras.Input((5, 4))
    model = keras.Model(frames, layers.TimeDistributed(encoder(), name="each")(frames))
    graph = read_graph(model)
    assert graph.consumers("each/encoder/hidden") == ("each/encoder/relu",)
    assert graph.scopes["each"].held == {"each/encoder"}
    assert graph.refusal("each/encoder/hidden") is graph.refusal("each") is None
