"""The interpreter against Keras's own run of the same graph, and the traces it must not leave."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.graph import read_graph
from advisor.graph.forward import forward
from advisor.graph.sampling import sample_inputs


def keras_reads(model, graph, paths, inputs):
    """What the named nodes of the outermost model read, by a model with those tensors as outputs."""
    readers = keras.Model(model.inputs, [graph.nodes[path].call.inputs[0] for path in paths])
    return readers.predict(inputs, verbose=0)


def test_a_functional_model_with_branches_and_ops():
    x = keras.Input((6, 6, 2))
    a = layers.Conv2D(3, 3, padding="same", name="a")(x)
    b = layers.BatchNormalization(name="b")(keras.ops.relu(a))
    c = layers.Add(name="c")([a, b])
    d = layers.Dropout(0.5, name="d")(keras.ops.concatenate([c, c * 2.0], axis=-1))
    model = keras.Model(x, layers.GlobalAveragePooling2D(name="pool")(d))
    graph, inputs = read_graph(model), sample_inputs(model, 4)
    paths = ["a", "b", "c", "d", "pool"]
    seen = forward(graph, inputs, paths)
    for path, expected in zip(paths, keras_reads(model, graph, paths, inputs), strict=True):
        (array,) = seen[path]
        np.testing.assert_allclose(array, expected, rtol=1e-6, atol=1e-6)


def test_nested_and_shared_models_run_once_per_call():
    inner_in = keras.Input((4,), name="inner_in")
    hidden = layers.Dense(4, name="hidden")(inner_in)
    inner = keras.Model(inner_in, layers.BatchNormalization(name="norm")(hidden), name="inner")
    middle = keras.Sequential([keras.Input((4,)), inner, layers.Dense(4, name="after")], name="middle")
    x, y = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([x, y], layers.Add()([middle(x), middle(y)]))
    first, second = sample_inputs(model)
    seen = forward(read_graph(model), [first, second], ["middle/inner/norm", "middle/after"])
    kernel, bias = (np.asarray(w) for w in inner.get_layer("hidden").weights)
    np.testing.assert_allclose(seen["middle/inner/norm"], [first @ kernel + bias, second @ kernel + bias], atol=1e-6)
    np.testing.assert_allclose(seen["middle/after"], [inner(first), inner(second)], atol=1e-6)


def test_dict_inputs_of_other_dtypes_and_several_outputs():
    tokens, scale = keras.Input((5,), dtype="int32", name="tokens"), keras.Input((1,), name="scale")
    embedded = layers.Embedding(9, 3, name="embedding")(tokens)
    pooled = layers.GlobalAveragePooling1D()(embedded)
    scaled = layers.Multiply(name="scaled")([pooled, scale])
    model = keras.Model({"tokens": tokens, "scale": scale}, {"a": scaled, "b": layers.Dense(2, name="dense")(scaled)})
    inputs = sample_inputs(model)
    inputs["tokens"] = inputs["tokens"].astype("float64")
    seen = forward(read_graph(model), inputs, ["dense", "embedding"])
    np.testing.assert_allclose(seen["dense"][0], model(inputs)["a"], atol=1e-6)
    assert seen["embedding"][0].dtype == np.int32


@pytest.mark.parametrize("nested", [False, True])
def test_masks_reach_the_layers_that_heed_them(nested):
    x = keras.Input((8,), dtype="int32")
    embedded = layers.Embedding(20, 3, mask_zero=True)(x)
    tail = [
        layers.LayerNormalization(),
        layers.LSTM(4, return_sequences=True),
        layers.GRU(2),
        layers.Dense(2, name="d"),
    ]
    if nested:
        embedded = keras.Sequential([keras.Input((8, 3)), *tail[:2]], name="inner")(embedded)
        tail = tail[2:]
    for layer in tail:
        embedded = layer(embedded)
    model = keras.Model(x, embedded)
    graph, inputs = read_graph(model), sample_inputs(model, 4)
    assert (inputs == 0).any()
    watched = ["d", "inner/lstm"] if nested else ["d", "lstm"]
    seen = forward(graph, inputs, watched)
    np.testing.assert_allclose(seen["d"][0], keras_reads(model, graph, ["d"], inputs), atol=1e-6)


def test_wrappers_and_attention():
    x = keras.Input((5, 4))
    h = layers.TimeDistributed(layers.Dense(6), name="td")(x)
    h = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="bi")(h)
    h = layers.MultiHeadAttention(2, 4, name="attention")(h, h)
    model = keras.Model(x, layers.Flatten(name="flat")(h))
    graph, inputs = read_graph(model), sample_inputs(model)
    paths = ["bi", "attention", "flat"]
    seen = forward(graph, inputs, paths)
    for path, expected in zip(paths, keras_reads(model, graph, paths, inputs), strict=True):
        np.testing.assert_allclose(seen[path][0], expected, rtol=1e-5, atol=1e-6)


def test_a_layer_recorded_in_training_mode_runs_in_inference_mode():
    x = keras.Input((50,))
    dropped = layers.Dropout(0.5)(x, training=True)
    model = keras.Model(x, layers.Activation("linear", name="end")(dropped))
    inputs = sample_inputs(model)
    np.testing.assert_array_equal(forward(read_graph(model), inputs, ["end"])["end"][0], inputs)


def test_the_model_stays_as_it_is():
    x = keras.Input(batch_shape=(2, 5, 3))
    h = layers.LSTM(4, stateful=True, return_sequences=True, activity_regularizer="l2", name="lstm")(x)
    h = layers.BatchNormalization(name="norm")(h, training=True)
    model = keras.Model(x, layers.Dropout(0.3, name="drop")(h))
    graph = read_graph(model)
    before = [np.asarray(v) for v in model.variables]
    calls = {layer.name: len(layer._inbound_nodes) for layer in model.layers}
    forward(graph, sample_inputs(model), ["norm", "drop"])
    assert {layer.name: len(layer._inbound_nodes) for layer in model.layers} == calls
    assert model.losses == []
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(value, np.asarray(variable))


def test_only_what_is_needed_runs():
    ran = []

    class Tracer(layers.Layer):
        def call(self, x):
            ran.append(self.name)
            return x

    x = keras.Input((2,))
    early, side, late = Tracer(name="early")(x), Tracer(name="side")(x), Tracer(name="late")
    model = keras.Model(x, [late(early), side])
    graph, inputs = read_graph(model), sample_inputs(model)
    ran.clear()
    forward(graph, inputs, ["late"])
    assert ran == ["early"]


def test_what_look_returns_is_kept_instead_of_the_array():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="dense")])
    seen = forward(read_graph(model), np.ones((4, 3)), ["dense"], lambda path, tensor: (path, tuple(tensor.shape)))
    assert seen == {"dense": [("dense", (4, 3))]}


def test_unknown_paths_missing_inputs_and_models_without_a_graph_are_refused():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="dense")])
    graph = read_graph(model)
    with pytest.raises(ValueError, match=r"Received: \['nowhere'\]"):
        forward(graph, np.ones((1, 3)), ["nowhere"])
    with pytest.raises(ValueError, match="Received: 2 arrays"):
        forward(graph, [np.ones((1, 3))] * 2, ["dense"])

    class Hidden(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    with pytest.raises(ValueError, match="Python code, not a graph"):
        forward(read_graph(Hidden()), np.ones((1, 3)), [])
