"""Whole exports: every kind of model against Keras, and everything that must be refused without a trace."""

import ast
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

import advisor.export
import advisor.litert
from advisor.export import ExportError, export_tflite
from advisor.export.tflite import prepare as real_prepare
from advisor.graph.sampling import sample_inputs
from advisor.litert.interpreter import LiteRTModel

RNG = np.random.default_rng(0)


def trained_looking(model):
    """Weights, moving averages included, as after some training, so that folding has something to get wrong."""
    model.set_weights([RNG.uniform(0.2, 1.0, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def conv_net(norm=True, policy=None):
    def block(filters, stride):
        yield layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=not norm, dtype=policy)
        if norm:
            yield layers.BatchNormalization(dtype=policy)
        yield layers.ReLU(dtype=policy)

    def depthwise():
        yield layers.DepthwiseConv2D(3, padding="same", use_bias=not norm, dtype=policy)
        if norm:
            yield layers.BatchNormalization(dtype=policy)

    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            *block(6, 2),
            *depthwise(),
            *block(8, 1),
            layers.GlobalAveragePooling2D(dtype=policy),
            *([layers.Dropout(0.5, dtype=policy)] if norm else []),
            layers.Dense(5, activation="softmax", dtype="float32"),
        ]
    )
    return trained_looking(model)


def lstm():
    return keras.Sequential([keras.Input((7, 4)), layers.LSTM(6), layers.Dense(3)])


def gru_on_tokens():
    return keras.Sequential(
        [keras.Input((9,), dtype="int32"), layers.Embedding(20, 5, mask_zero=True), layers.GRU(6), layers.Dense(3)]
    )


def bidirectional():
    return keras.Sequential(
        [keras.Input((7, 4)), layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.Dense(2)]
    )


def transformer():
    x = keras.Input((6, 8))
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    return keras.Model(x, layers.Dense(3)(ops.gelu(layers.Dense(8)(y)) + y))


def pure_ops():
    x = keras.Input((4, 5))
    y = ops.einsum("bij,bkj->bik", x, x)
    return keras.Model(x, ops.softmax(ops.where(y > 0, y, ops.exp(y)), axis=-1)[:, 1:, ::2])


def transposed():
    model = keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            layers.Conv2DTranspose(3, 3, strides=2),
            layers.BatchNormalization(),
            layers.UpSampling2D(),
            layers.SeparableConv2D(2, 3),
        ]
    )
    return trained_looking(model)


def nested():
    backbone = conv_net()
    x = keras.Input((12, 12, 3))
    return keras.Model(x, layers.Dense(2)(backbone(x)))


def read(report, inputs):
    return LiteRTModel.from_file(report.path)(inputs)


@pytest.mark.parametrize(
    "build",
    [
        conv_net,
        lstm,
        transformer,
        pure_ops,
        transposed,
        nested,
        *(pytest.param(build, marks=pytest.mark.slow) for build in (gru_on_tokens, bidirectional)),
    ],
)
def test_the_exported_file_computes_what_keras_does(build, tmp_path):
    model = build()
    report = export_tflite(model, tmp_path / "model.tflite")
    assert report.max_relative_difference <= 1e-4
    # Held against Keras again, by hand and on other data than the export took.
    x = sample_inputs(model, batch_size=3, seed=5)
    (name,) = report.outputs
    received = np.concatenate([read(report, {"input": row[None]})[name] for row in x])
    expected = np.asarray(model(x, training=False))
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert report.size_bytes == (tmp_path / "model.tflite").stat().st_size
    assert set(report.latency_ms) == {1, 2}
    assert all(0 < figure < 1000 for figure in report.latency_ms.values())
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_batch_norm_costs_no_operator(tmp_path):
    with_norm = export_tflite(conv_net(norm=True), tmp_path / "norm.tflite")
    without = export_tflite(conv_net(norm=False), tmp_path / "none.tflite")
    assert with_norm.operators == without.operators
    assert with_norm.preparation == ("removed 1 Dropout", "folded 3 BatchNormalization")
    assert without.preparation == ()


def test_batch_norm_is_folded_where_the_converter_does_not(tmp_path):
    # After a 3-D convolution TensorFlow's converter leaves a multiplication and an addition behind.
    model = keras.Sequential([keras.Input((5, 5, 5, 2)), layers.Conv3D(3, 3), layers.BatchNormalization()])
    report = export_tflite(trained_looking(model), tmp_path / "model.tflite")
    assert report.operators == {"ADD": 1, "CONV_3D": 1}
    assert report.keras_operators == {"ADD": 2, "CONV_3D": 1, "MUL": 1}
    assert report.size_bytes < report.keras_size_bytes


def test_outputs_are_verified_against_the_model_as_given(tmp_path, monkeypatch):
    def wrong(model):
        prepared = real_prepare(model)
        prepared.model.layers[-1].bias.assign_add(np.full(3, 0.5))
        return prepared

    monkeypatch.setattr("advisor.export.tflite.prepare", wrong)
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.5), layers.Dense(3, name="head")])
    with pytest.raises(ExportError, match=r"must agree with Keras.*no file was written.*output 'head'"):
        export_tflite(model, tmp_path / "model.tflite")
    assert os.listdir(tmp_path) == []


def test_several_inputs_and_outputs_keep_names_order_and_values(tmp_path):
    # Equal shapes everywhere: only the names tell them apart.
    left, right = keras.Input((3,), name="zeta"), keras.Input((3,), name="alpha")
    outputs = {"total": left + right, "parts": [left * 2.0, ops.tanh(right)], "echo": left, "again": left + right}
    model = keras.Model({"zeta": left, "alpha": right}, outputs)
    report = export_tflite(model, tmp_path / "model.tflite")
    a, b = RNG.normal(size=(2, 1, 3)).astype("float32")
    received = read(report, {"zeta": a, "alpha": b})
    assert report.inputs == {"alpha": (1, 3), "zeta": (1, 3)}
    assert report.outputs == ("again", "echo", "parts_0", "parts_1", "total")
    flat = keras.tree.flatten(model({"zeta": a, "alpha": b}))
    for name, expected in zip(report.outputs, flat, strict=True):
        np.testing.assert_allclose(received[name], expected, rtol=1e-5, atol=1e-6)


def test_more_than_ten_outputs_stay_in_order(tmp_path):
    x = keras.Input((2,))
    report = export_tflite(keras.Model(x, [x * float(i) for i in range(1, 13)]), tmp_path / "model.tflite")
    received = read(report, {"input": np.ones((1, 2), "float32")})
    assert [float(received[name][0, 0]) for name in report.outputs] == list(range(1, 13))


def test_the_batch_size_is_exported_and_filled_up(tmp_path):
    x = RNG.normal(size=(5, 12, 12, 3)).astype("float32")
    report = export_tflite(conv_net(), tmp_path / "model.tflite", batch_size=2, verify_data=(x, np.zeros(5)))
    assert report.inputs == {"input": (2, 12, 12, 3)}
    assert report.verified_samples == 5
    assert report.top1_agreement == 1.0


def test_open_axes_are_closed_by_data(tmp_path):
    model = keras.Sequential([keras.Input((None, 4)), layers.GRU(3), layers.Dense(2)])
    report = export_tflite(model, tmp_path / "model.tflite", verify_data=RNG.normal(size=(2, 9, 4)))
    assert report.inputs == {"input": (1, 9, 4)}


def test_mixed_precision_is_exported_in_float32(tmp_path):
    model, single = conv_net(policy="mixed_float16"), conv_net()
    single.set_weights(model.get_weights())
    report = export_tflite(model, tmp_path / "model.tflite")
    x = RNG.normal(size=(1, 12, 12, 3)).astype("float32")
    np.testing.assert_allclose(read(report, {"input": x})[report.outputs[0]], single(x), rtol=1e-5, atol=1e-6)
    assert report.operators == {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "MEAN": 1, "SOFTMAX": 1}
    assert report.notes == ("built with the policy mixed_float16; exported and compared in float32",)
    assert {layer.dtype_policy.name for layer in model.layers[:-1]} == {"mixed_float16"}


def test_a_subclassed_model_is_exported_as_it_is(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)
            self.drop = layers.Dropout(0.5)

        def call(self, inputs, training=None):
            hidden = self.drop(self.dense(inputs["a"]), training=training)
            return {"sum": hidden + inputs["b"], "hidden": hidden}

    model = Own()
    data = {"b": RNG.normal(size=(4, 3)).astype("float32"), "a": RNG.normal(size=(4, 2)).astype("float32")}
    model(data)
    report = export_tflite(model, tmp_path / "model.tflite", verify_data=data)
    assert report.outputs == ("hidden", "sum")
    assert report.max_relative_difference <= 1e-6
    assert report.preparation == ()
    assert any("converted as it is" in note for note in report.notes)


def test_a_flex_model_is_written_unverified_and_says_so(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Activation(ops.sinh, name="act")])
    with pytest.raises(ExportError, match=r"Sinh \(layer 'act'\)"):
        export_tflite(model, tmp_path / "model.tflite")
    assert os.listdir(tmp_path) == []
    report = export_tflite(model, tmp_path / "model.tflite", allow_flex=True)
    assert report.max_abs_difference is None
    assert report.latency_ms == report.latency_ratio == {}
    assert report.notes == (
        "neither verified nor timed: needs the Flex delegate, for FlexSinh",
        "Keras's own export needs the Flex delegate, for FlexSinh, and is not timed",
    )


def test_the_model_is_not_changed(tmp_path):
    model = conv_net()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.layers[0].trainable = False
    config, weights = model.get_config(), model.get_weights()
    export_tflite(model, tmp_path / "model.tflite")
    assert model.get_config() == config
    assert [layer.trainable for layer in model.layers] == [False] + [True] * (len(model.layers) - 1)
    assert model.compiled
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def dense():
    return keras.Sequential([keras.Input((4,)), layers.Dense(2)])


def stateful():
    return keras.Sequential([keras.Input(batch_shape=(1, 5, 3)), layers.LSTM(2, stateful=True, name="memory")])


class Unbuilt(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (dense, {"quantize": "int4"}, r"`quantize` must be None for float32, or one of .*Received: quantize='int4'"),
        (dense, {"quantize": "int8"}, r"quantize='int8' needs `representative_data`.*Received: representative_data=No"),
        (dense, {"representative_data": np.ones((1, 4))}, r"`representative_data` must be None.*Received: "),
        (dense, {"representative_samples": 0}, r"`representative_samples` must be .* Received: representative_samples"),
        (dense, {"tolerance": 0.0}, r"`tolerance` must be a number above 0.* Received: tolerance=0.0"),
        (dense, {"batch_size": 0}, r"`batch_size` must be an integer of at least 1. Received: batch_size=0"),
        (dense, {"batch_size": True}, r"`batch_size` must be an integer"),
        (dense, {"verify_data": np.ones((2, 5))}, r"must have the shape \(None, 4\). Received: \(2, 5\)"),
        (lambda: "model.keras", {}, r"must be a keras.Model. Received: 'model.keras'"),
        (lambda: keras.Sequential([layers.Dense(2)]), {}, r"must be built"),
        (Unbuilt, {}, r"must be built"),
        (stateful, {}, r"Layer 'memory' must not be stateful.*Received: LSTM\(stateful=True\)"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_the_old_file_kept(build, arguments, message, tmp_path):
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")
    with pytest.raises(ExportError, match=message):
        export_tflite(build(), target, **arguments)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.tflite"]


SOURCES = [file for package in (advisor.export, advisor.litert) for file in Path(package.__file__).parent.glob("*.py")]


@pytest.mark.parametrize("file", sorted(SOURCES), ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_importing_the_export_loads_no_converter_and_no_runtime(file):
    imported = [
        name
        for node in ast.parse(file.read_text()).body
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
        )
    ]
    assert not [name for name in imported if name.split(".")[0] in ("tensorflow", "ai_edge_litert")]
