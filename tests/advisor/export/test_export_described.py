"""What a `.tflite` file and its report say beyond the checks: metadata, memory, Flex layers; what is left behind."""

import os

import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor.export import ExportError, export_tflite, read_metadata
from advisor.litert.arena import arena_bytes
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.metadata import with_metadata


def conv_net():
    stack = [
        layers.Conv2D(4, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(3, name="label"),
    ]
    return keras.Sequential([keras.Input((6, 6, 3), name="image"), *stack], name="conv_net")


def test_the_file_says_what_it_was_made_from_and_how_it_agreed(tmp_path):
    report = export_tflite(conv_net(), tmp_path / "model.tflite", batch_size=2)
    entry = read_metadata(report.path)
    assert entry == {
        "keras_normpack": entry["keras_normpack"],
        "keras": keras.__version__,
        "model": "conv_net",
        "inputs": {"image": [2, 6, 6, 3]},
        "outputs": {"label": [2, 3]},
        "precision": "float32",
        "preparation": ["folded 1 BatchNormalization"],
        "lowered": [],
        "verification": {
            "verified_samples": 4,
            "max_abs_difference": float(f"{report.max_abs_difference:.3g}"),
            "max_relative_difference": float(f"{report.max_relative_difference:.3g}"),
            "relative_rms_difference": float(f"{report.relative_rms_difference:.3g}"),
            "top1_agreement": 1.0,
        },
    }
    assert report.flex == {}
    assert LiteRTModel.from_file(report.path).input_names == ("image",)


def test_two_exports_of_one_model_are_equal_files(tmp_path):
    model = conv_net()
    first, second = (export_tflite(model, tmp_path / f"{i}.tflite") for i in range(2))
    assert first.path.read_bytes() == second.path.read_bytes()


def test_the_report_has_the_memory_of_both_exports(tmp_path):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(800, activation="relu"), layers.Dense(2)])
    report = export_tflite(model, tmp_path / "model.tflite")
    # An input of 32 bytes, hidden values at 64, an output of 8 bytes behind them.
    assert report.arena_bytes == arena_bytes(report.path.read_bytes()) == 64 + 800 * 4 + 8
    assert report.keras_arena_bytes == report.arena_bytes
    assert report.model_name == model.name


def test_a_flex_model_names_the_layers_that_need_it(tmp_path):
    stack = [layers.Activation(ops.sinh, name="wave"), layers.Dense(2), layers.Activation(ops.sinh, name="last")]
    report = export_tflite(keras.Sequential([keras.Input((4,)), *stack]), tmp_path / "model.tflite", allow_flex=True)
    assert report.flex == {"FlexSinh": ("wave", "last")}
    assert read_metadata(report.path)["verification"] is None


def test_a_file_that_metadata_changed_is_not_written(tmp_path, monkeypatch):
    def broken(flatbuffer, entry, description):
        from ai_edge_litert import schema_py_generated as schema

        described = bytearray(with_metadata(flatbuffer, entry, description))
        model = schema.Model.GetRootAs(described)
        weights = max((model.Buffers(i) for i in range(model.BuffersLength())), key=lambda b: b.DataLength())
        weights.DataAsNumpy()[:] = 0
        return bytes(described)

    monkeypatch.setattr("advisor.export.provenance.with_metadata", broken)
    with pytest.raises(ExportError, match="must compute the same with and without metadata"):
        export_tflite(conv_net(), tmp_path / "model.tflite")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "stage", ["tflite.prepare", "conversion.convert", "tflite.keras_export", "timing.interleaved_seconds"]
)
def test_an_interrupt_leaves_nothing_behind(tmp_path, monkeypatch, stage):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"advisor.export.{stage}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_tflite(conv_net(), tmp_path / "model.tflite")
    assert os.listdir(tmp_path) == []


def test_progress_is_said_when_asked_for(tmp_path, capsys):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    export_tflite(model, tmp_path / "model.tflite", verbose=0)
    assert capsys.readouterr().err == ""
    # A pipe is no terminal.
    export_tflite(model, tmp_path / "model.tflite", verbose="auto")
    assert capsys.readouterr().err == ""
    with pytest.raises(ExportError, match=r"`verbose` must be 0, 1, 2 or 'auto'. Received: verbose='loud'"):
        export_tflite(model, tmp_path / "model.tflite", verbose="loud")


def test_stages_are_told_in_their_order(tmp_path, monkeypatch):
    from contextlib import contextmanager

    said = []

    @contextmanager
    def noted(doing, verbose):
        said.append(doing)
        yield said.append

    monkeypatch.setattr("advisor.export.tflite.working", noted)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    export_tflite(model, tmp_path / "model.tflite", verify_data=np.ones((1, 4)))
    assert said == [
        "Preparing the model",
        "Choosing the forms of layers",
        "Converting",
        "Verifying",
        "Exporting with Keras alone, to compare",
        "Measuring latency",
    ]
