"""Whole exports below float32: every precision against Keras, and everything that must be refused without a trace."""

import json
import os

import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor.export import ExportError, export_tflite
from advisor.export.keras_export import KerasExport
from advisor.export.prepare import prepare
from advisor.export.verify import LIMITS
from advisor.litert.calls import LayerCall
from advisor.litert.choice import Choice
from advisor.litert.forms import Form
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.lowering import Lowering
from advisor.litert.operators import read_operators
from advisor.litert.quantization import CALIBRATED, PRECISIONS

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(40, 12, 12, 3)).astype("float32")
CLASSES = RNG.integers(0, 5, 40)


@pytest.fixture(autouse=True)
def _no_comparison_with_keras(monkeypatch):
    """Quantization does not touch it, and it takes most of the time."""
    monkeypatch.setattr("advisor.export.tflite.keras_export", lambda *_: KerasExport(None, {}))
    monkeypatch.setattr("advisor.export.timing.THREADS", (1,))


def conv_net(activation="relu", seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(6, 3, padding="same", name="stem"),
            layers.BatchNormalization(),
            layers.Activation(activation, name="act"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.ReLU(name="relu"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dropout(0.5),
            layers.Dense(5, activation="softmax", name="head"),
        ]
    )


def exported(model, folder, precision, data=IMAGES, **arguments):
    if precision in CALIBRATED:
        arguments.setdefault("representative_data", data)
    return export_tflite(model, folder / "model.tflite", quantize=precision, **arguments)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_agrees_with_keras_as_far_as_its_report_says(precision, tmp_path):
    model = conv_net()
    report = exported(model, tmp_path, precision, verify_data=(IMAGES, CLASSES))
    runner = LiteRTModel.from_file(report.path)
    received = np.concatenate([runner({"input": image[None]})["head"] for image in IMAGES])
    expected = np.asarray(model(IMAGES))
    by_hand = np.linalg.norm(received - expected) / np.linalg.norm(expected)
    assert report.relative_rms_difference == pytest.approx(by_hand, rel=1e-4)
    assert by_hand < 0.02 < LIMITS[precision].value
    assert report.precision == precision
    assert report.verified_samples == 40
    (metric,) = report.task_metrics
    assert metric.keras == np.mean(expected.argmax(-1) == CLASSES)
    assert metric.exported == np.mean(received.argmax(-1) == CLASSES)
    assert [error.layer for error in report.layer_errors] == ["act", "relu", "pool", "head"]
    assert json.loads(json.dumps(report.to_dict()))["layer_errors"][0]["layer"] == "act"
    assert f"precision: {precision}" in str(report)
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_int8_has_integers_only_and_states_its_data(tmp_path):
    report = exported(conv_net(), tmp_path, "int8", representative_samples=7, seed=3)
    assert not any(operator.computes_in_float for operator in read_operators(report.path.read_bytes()))
    assert set(report.operators) == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "SOFTMAX"}
    assert (report.representative_samples, report.representative_seed) == (7, 3)
    assert "ranges from 7 samples (seed 3)" in str(report)
    assert report.float_operators == ()
    assert "verified on the representative samples, for no `verify_data` was given" in report.notes
    assert report.verified_samples == 7


@pytest.mark.slow
def test_the_seed_draws_the_samples_that_ranges_come_from(tmp_path):
    def content(seed):
        model = conv_net()
        return exported(model, tmp_path, "int8", representative_samples=3, seed=seed).path.read_bytes()

    assert content(0) != content(1)


def test_operators_without_an_int8_kernel_are_refused_or_computed_in_float(tmp_path):
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8), layers.Activation(ops.sin, name="wave"), layers.Dense(3, name="last")]
    )
    data = RNG.normal(size=(30, 8)).astype("float32")
    with pytest.raises(ExportError, match=r"int8_float_fallback.*Received: SIN \(layer 'wave'\)$"):
        exported(model, tmp_path, "int8", data)
    assert os.listdir(tmp_path) == []
    report = exported(model, tmp_path, "int8_float_fallback", data)
    assert report.float_operators == ("SIN (layer 'wave')",)
    assert "computed in float: SIN (layer 'wave')" in str(report)


def test_an_operator_that_gives_the_output_is_named_by_its_layer_too(tmp_path):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(8), layers.Activation(ops.sin, name="wave")])
    with pytest.raises(ExportError, match=r"Received: SIN \(layer 'wave'\)$"):
        exported(model, tmp_path, "int8", RNG.normal(size=(5, 8)))


@pytest.mark.slow
def test_recurrence_and_normalization_take_forms_that_int8_can(tmp_path):
    keras.utils.set_random_seed(0)
    stack = [layers.GRU(8, return_sequences=True), layers.LayerNormalization(), layers.Bidirectional(layers.LSTM(5))]
    model = keras.Sequential([keras.Input((6, 4)), *stack])
    report = exported(model, tmp_path, "int8", RNG.normal(size=(60, 6, 4)))
    assert not any(operator.computes_in_float for operator in read_operators(report.path.read_bytes()))
    assert report.relative_rms_difference < 0.1
    assert any(" GRU as " in line for line in report.lowered)
    assert any(" LSTM as " in line for line in report.lowered)


@pytest.mark.slow
def test_a_normalizing_attention_net_is_computed_in_integers_but_for_what_is_listed(tmp_path):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((6, 8))
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Dense(8, activation="gelu")(x)))
    report = exported(model, tmp_path, "int8_float_fallback", RNG.normal(size=(30, 6, 8)))
    assert report.relative_rms_difference < 0.05
    in_float = [op for op in read_operators(report.path.read_bytes()) if op.computes_in_float]
    assert len(in_float) <= 1
    assert len(report.float_operators) == len(in_float)


@pytest.mark.parametrize("precision", CALIBRATED)
def test_a_loop_is_refused_before_calibration_can_end_the_process(precision, tmp_path, monkeypatch):
    # In whatever form the layer is exported: here as it is written, which loops.
    monkeypatch.setattr("advisor.export.tflite.choose_forms", lambda *_, **__: Lowering({}))
    model = keras.Sequential([keras.Input((5, 4)), layers.GRU(3, name="memory"), layers.Dense(2)])
    with pytest.raises(ExportError, match=r"`unroll=True`.*Received: WHILE \(layer 'memory'\)$"):
        exported(model, tmp_path, precision, RNG.normal(size=(4, 5, 4)))
    assert os.listdir(tmp_path) == []


def test_tokens_and_dictionaries_are_quantized(tmp_path):
    keras.utils.set_random_seed(0)
    tokens, size = keras.Input((6,), dtype="int32", name="tokens"), keras.Input((1,), name="size")
    x = layers.Embedding(20, 8, name="embed")(tokens)
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(x), size])
    outputs = {"kind": layers.Dense(3, activation="softmax")(x), "amount": layers.Dense(1)(x)}
    model = keras.Model({"tokens": tokens, "size": size}, outputs)
    data = {"tokens": RNG.integers(0, 20, (50, 6)), "size": RNG.normal(size=(50, 1))}
    labels = {"kind": RNG.integers(0, 3, 50), "amount": RNG.normal(size=50)}
    report = exported(model, tmp_path, "int8", (data, labels))
    assert [(metric.output, metric.name) for metric in report.task_metrics] == [
        ("amount", "mean absolute error"),
        ("kind", "accuracy"),
    ]
    assert {"embed"} < {error.layer for error in report.layer_errors}
    assert report.relative_rms_difference < 0.05


class Own(keras.Model):
    """A model that is code, holds another and returns several outputs."""

    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([keras.Input((8,)), layers.Dense(8, activation="relu", name="deep")], name="net")
        self.split = Halves(name="halves")
        self.shared = layers.Dense(4, name="shared")

    def call(self, inputs):
        left, right = self.split(self.inner(inputs["x"]))
        return {"sum": self.shared(left) + self.shared(right), "left": left}


class Halves(layers.Layer):
    def call(self, inputs):
        return inputs[:, :4], inputs[:, 4:]


SLOW = pytest.mark.slow


@pytest.mark.parametrize("precision", [pytest.param("dynamic", marks=SLOW), "int8"])
def test_a_subclassed_model_has_errors_for_all_its_layers_and_calls(precision, tmp_path):
    keras.utils.set_random_seed(0)
    model = Own()
    data = {"x": RNG.normal(size=(30, 8)).astype("float32")}
    model(data)
    report = exported(model, tmp_path, precision, data, verify_data=data)
    named = [error.layer for error in report.layer_errors]
    assert [name.split("/")[-1] for name in named[:5]] == ["deep", "halves", "halves", "shared", "shared#2"]
    assert named[5:] == ["output 'sum'"]


class TestSabotage:
    """What is wrong is named, and nothing is left behind."""

    @pytest.fixture
    def target(self, tmp_path):
        (tmp_path / "model.tflite").write_bytes(b"old")
        yield tmp_path
        assert (tmp_path / "model.tflite").read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["model.tflite"]

    @pytest.mark.parametrize(
        ("layer", "named"), [("stem", "act"), ("depthwise", "relu"), pytest.param("head", "head", marks=SLOW)]
    )
    @pytest.mark.parametrize("precision", [None, "int8"])
    def test_a_prepared_weight(self, precision, layer, named, target, monkeypatch):
        def wrong(model):
            prepared = prepare(model)
            prepared.model.get_layer(layer).bias.assign_add(
                np.linspace(2.0, 9.0, prepared.model.get_layer(layer).bias.shape[0])
            )
            return prepared

        monkeypatch.setattr("advisor.export.tflite.prepare", wrong)
        blamed = rf"The preparation of the model \(.*folded 1 BatchNormalization\).* first in layer '{named}'"
        with pytest.raises(ExportError, match=rf"no file was written\. {blamed}.*Received: "):
            exported(conv_net(), target, precision)

    @pytest.mark.parametrize("precision", [None, "int8_float_fallback"])
    def test_a_form_of_a_layer(self, precision, target, monkeypatch):
        model = keras.Sequential(
            [keras.Input((12, 12, 4)), layers.Conv2D(4, 3, name="first"), layers.GroupNormalization(2, name="norm")]
        )
        wrong = Form("a wrong form", lambda layer, inputs, mask: 0.2 * inputs)
        call = LayerCall(model.get_layer("norm"), keras.KerasTensor((1, 10, 10, 4)))
        lowering = Lowering({call.key: (call, Choice(wrong, {}))})
        monkeypatch.setattr("advisor.export.tflite.choose_forms", lambda *_, **__: lowering)
        blamed = r"first layer that differs by more is 'norm' \(GroupNormalization, computed as a wrong form\)"
        with pytest.raises(ExportError, match=rf"no file was written\. The {blamed}: .*Received: "):
            exported(model, target, precision, RNG.normal(size=(20, 12, 12, 4)))

    def test_the_limit_of_the_user(self, target):
        with pytest.raises(ExportError, match=r"root mean square difference of 1e-07; .*first layer.* is 'act'"):
            exported(conv_net(), target, "int8", tolerance=1e-7)


def test_what_a_layer_adds_is_told_from_what_it_was_handed(tmp_path):
    # A wide range of inputs makes the first layer lose much; the layer behind it only hands that on.
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((16,)),
            layers.Dense(16, name="coarse", kernel_initializer="identity"),
            layers.Dense(16, name="fine", kernel_initializer="orthogonal"),
        ]
    )
    data = RNG.normal(size=(60, 16)).astype("float32")
    data[0] *= 60
    report = exported(model, tmp_path, "int8", data, verify_data=data[1:], tolerance=5.0)
    coarse, fine = report.layer_errors
    assert coarse.added > 0.15
    assert fine.relative_rms > 0.15


@pytest.mark.parametrize("precision", [None, *PRECISIONS])
@pytest.mark.slow
def test_mobilenet_is_exported_in_every_precision(precision, tmp_path):
    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10)
    photographs = RNG.uniform(-1, 1, (32, 96, 96, 3)).astype("float32")
    report = exported(model, tmp_path, precision, photographs, verify_data=photographs[:8])
    sizes = {None: 4, "float16": 2, "dynamic": 1, "int8": 1, "int8_float_fallback": 1}
    assert report.size_bytes < 1.5 * sizes[precision] * model.count_params()
    assert len(report.layer_errors) == (0 if precision is None else 68)


@pytest.mark.parametrize("precision", CALIBRATED)
def test_features_of_unequal_ranges_are_named_where_one_scale_cannot_hold_them(precision, tmp_path):
    keras.utils.set_random_seed(0)
    rows = (RNG.normal(size=(60, 3)) * [1.0, 1000.0, 2.0]).astype("float32")
    norm = layers.Normalization()
    norm.adapt(rows)
    model = keras.Sequential([keras.Input((3,), name="measured"), norm, layers.Dense(8, "relu"), layers.Dense(2)])
    with pytest.raises(ExportError, match=r"input 'measured' have ranges that differ [\d,]+ times.*before the model\."):
        exported(model, tmp_path, precision, rows)
    report = exported(model, tmp_path, precision, rows, tolerance=10.0)
    assert report.advice[0].startswith("features of input 'measured'")
    scaled = keras.Sequential([keras.Input((3,)), *model.layers[1:]])
    assert exported(scaled, tmp_path, precision, rows / [1.0, 1000.0, 2.0]).advice == ()
