"""ONNX files against Keras in onnxruntime, by hand; what tf2onnx cannot write; a missing extra."""

import importlib.util
import json
import os

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_normpack
from advisor.export import ExportError, export_model, export_onnx
from advisor.graph.sampling import sample_inputs

RNG = np.random.default_rng(0)


def trained_looking(model):
    model.set_weights([RNG.uniform(0.2, 1.0, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def conv_net(policy=None):
    stack = [
        layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, dtype=policy),
        layers.BatchNormalization(dtype=policy),
        layers.ReLU(dtype=policy),
        layers.DepthwiseConv2D(3, padding="same", dtype=policy),
        layers.BatchNormalization(dtype=policy),
        layers.GlobalAveragePooling2D(dtype=policy),
        layers.Dropout(0.5, dtype=policy),
        layers.Dense(5, activation="softmax", dtype="float32", name="label"),
    ]
    return trained_looking(keras.Sequential([keras.Input((12, 12, 3), name="image"), *stack], name="conv_net"))


def bidirectional():
    stack = [layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.GRU(4), layers.Dense(2)]
    return keras.Sequential([keras.Input((None, 4)), *stack])


def tokens():
    stack = [layers.Embedding(20, 5, mask_zero=True), layers.GRU(6), layers.Dense(3)]
    return keras.Sequential([keras.Input((9,), dtype="int32"), *stack])


def transformer():
    x = keras.Input((6, 8))
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    return keras.Model(x, layers.Dense(3)(ops.gelu(layers.Dense(8)(y)) + y))


def normalized():
    stack = [layers.Conv2D(8, 3), keras_normpack.layers.GroupNormalization(4), layers.ReLU(), layers.Flatten()]
    return keras.Sequential([keras.Input((8, 8, 3)), *stack, layers.Dense(2)])


def session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize("build", [conv_net, bidirectional, tokens, transformer, normalized])
def test_the_file_computes_what_keras_does_for_any_batch(build, tmp_path):
    model = build()
    report = export_onnx(model, tmp_path / "model.onnx")
    assert report.max_relative_difference <= 1e-5
    written = session(report.path)
    ((name, shape),) = report.inputs.items()
    assert shape[0] is None
    for size in (1, 7):
        x = sample_inputs(model, batch_size=size, seed=size)
        (received,) = written.run(list(report.outputs), {name: x})
        expected = np.asarray(model(x, training=False))
        np.testing.assert_allclose(received, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert report.size_bytes == report.path.stat().st_size
    assert report.batch_size is None
    assert report.format == "onnx"
    assert os.listdir(tmp_path) == ["model.onnx"]


@pytest.mark.slow
def test_the_model_is_prepared_and_left_as_it_was(tmp_path):
    model = conv_net()
    config, weights = model.get_config(), model.get_weights()
    report = export_model(model, tmp_path / "model.onnx", format="onnx")
    assert report.preparation == ("removed 1 Dropout", "folded 2 BatchNormalization")
    assert "BatchNormalization" not in report.operators
    assert report.operators["Conv"] == 2
    assert model.get_config() == config
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_mixed_precision_is_exported_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = conv_net("mixed_float16")
        report = export_onnx(model, tmp_path / "model.onnx")
    finally:
        keras.config.set_dtype_policy("float32")
    assert session(report.path).get_inputs()[0].type == "tensor(float)"
    assert "Cast" not in report.operators
    assert report.notes == ("built with the policy mixed_float16; exported and compared in float32",)
    assert report.max_relative_difference <= 1e-5


@pytest.mark.slow
def test_inputs_and_outputs_of_any_structure_are_told_apart_by_name(tmp_path):
    left, right = keras.Input((3,), name="zeta"), keras.Input((3,), name="alpha")
    outputs = {"total": left + right, "parts": [left * 2.0, ops.tanh(right)], "echo": left, "again": left + right}
    model = keras.Model({"zeta": left, "alpha": right}, outputs)
    report = export_onnx(model, tmp_path / "model.onnx")
    assert report.outputs == ("again", "echo", "parts_0", "parts_1", "total")
    a, b = RNG.normal(size=(2, 5, 3)).astype("float32")
    received = session(report.path).run(list(report.outputs), {"zeta": a, "alpha": b})
    for y, expected in zip(received, keras.tree.flatten(model({"zeta": a, "alpha": b})), strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_more_than_ten_outputs_stay_in_order(tmp_path):
    x = keras.Input((2,))
    report = export_onnx(keras.Model(x, [x * float(i) for i in range(1, 13)]), tmp_path / "model.onnx")
    received = session(report.path).run(list(report.outputs), {"input": np.ones((1, 2), "float32")})
    assert [float(y[0, 0]) for y in received] == list(range(1, 13))


@pytest.mark.slow
def test_a_subclassed_model_is_exported_with_data(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs):
            return {"sum": self.dense(inputs["a"]) + inputs["b"]}

    model = Own()
    data = {"b": RNG.normal(size=(4, 3)).astype("float32"), "a": RNG.normal(size=(4, 2)).astype("float32")}
    model(data)
    report = export_onnx(model, tmp_path / "model.onnx", verify_data=data)
    assert report.inputs == {"a": (None, 2), "b": (None, 3)}
    (received,) = session(report.path).run(["sum"], data)
    np.testing.assert_allclose(received, model(data)["sum"], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_the_file_says_what_it_is(tmp_path):
    import onnx

    report = export_onnx(conv_net(), tmp_path / "model.onnx")
    written = onnx.load(report.path)
    onnx.checker.check_model(written)
    assert [axis.dim_param or axis.dim_value for axis in written.graph.input[0].type.tensor_type.shape.dim] == [
        "batch", 12, 12, 3,
    ]  # fmt: skip
    entry = json.loads({prop.key: prop.value for prop in written.metadata_props}["keras_normpack"])
    assert entry["model"] == "conv_net"
    assert entry["inputs"] == {"image": [None, 12, 12, 3]}
    assert entry["outputs"] == {"label": [None, 5]}
    assert entry["preparation"] == ["removed 1 Dropout", "folded 2 BatchNormalization"]


@pytest.mark.slow
def test_what_tf2onnx_cannot_write_is_named_with_its_layer(tmp_path, caplog):
    stack = [layers.Dense(3, activation="tanh"), layers.Activation(ops.erfinv, name="inverse")]
    model = keras.Sequential([keras.Input((4,)), *stack])
    with pytest.raises(ExportError, match=r"tf2onnx cannot write.*Received: Erfinv \(layer 'inverse'\)"):
        export_onnx(model, tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == []
    assert caplog.text == ""


@pytest.mark.slow
def test_an_exporter_that_gives_up_is_quoted_with_the_layer_it_names(tmp_path, monkeypatch):
    import tensorflow as tf

    def gives_up(self, *_, input_signature, **__):
        graph = tf.function(self, input_signature=input_signature, autograph=False).get_concrete_function().graph
        path = next(op.name for op in graph.get_operations() if op.type == "MatMul" and "second" in op.name)
        raise ValueError(f"make_sure failure:\n  {path} has no shape")

    monkeypatch.setattr("advisor.export.onnx._Flat.export", gives_up)
    stack = [layers.Dense(3, name="first"), layers.Dense(3, name="second")]
    model = keras.Sequential([keras.Input((4,)), *stack], name="net")
    with pytest.raises(ExportError, match=r"refused model 'net'. It names layer 'second'. Received: ValueError: make"):
        export_onnx(model, tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_file_that_differs_from_keras_is_not_written(tmp_path, monkeypatch):
    from advisor.export.open_batch import prepare as real_prepare

    def wrong(model):
        prepared = real_prepare(model)
        prepared.model.layers[-1].bias.assign_add(np.full(3, 0.5))
        return prepared

    monkeypatch.setattr("advisor.export.open_batch.prepare", wrong)
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.5), layers.Dense(3, name="head")])
    (tmp_path / "model.onnx").write_bytes(b"old")
    with pytest.raises(ExportError, match=r"must agree with Keras.*no file was written.*output 'head'"):
        export_onnx(model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.onnx"]


@pytest.mark.slow
def test_a_batch_size_that_the_model_fixes_is_kept(tmp_path):
    model = keras.Sequential([keras.Input(batch_shape=(2, 4)), layers.Dense(3)])
    report = export_onnx(model, tmp_path / "model.onnx")
    assert report.batch_size == 2
    assert report.inputs == {"input": (2, 4)}


def test_a_missing_extra_is_answered_with_the_line_that_installs_it(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if "onnx" in name else find_spec(name, *rest)
    )
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ExportError, match=r"pip install 'keras-normpack\[onnx\]'.*Received: no tf2onnx, onnx"):
        export_onnx(model, tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "coreml"}, r"must be one of 'tflite', 'onnx', 'saved_model'. Received: format='coreml'"),
        ({"format": "onnx", "batch_size": 2}, r"'onnx' takes the arguments verify_data, .*Received: batch_size=2"),
        ({"format": "saved_model", "quantize": "int8"}, r"'saved_model' takes .*Received: quantize='int8'"),
    ],
)
def test_formats_and_arguments_that_there_are_not_are_refused(arguments, message, tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ExportError, match=message):
        export_model(model, tmp_path / "model", **arguments)
    assert os.listdir(tmp_path) == []
