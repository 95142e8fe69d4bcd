import json

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

from advisor.cli import app
from advisor.cli.options import ExportFormat, Precision
from advisor.export.export import FORMATS
from advisor.litert.quantization import PRECISIONS


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "net.keras"
    stack = [layers.Dense(4, name="hidden"), layers.Dropout(0.5), layers.Dense(2, activation="softmax", name="label")]
    keras.Sequential([keras.Input((3,), name="row"), *stack], name="net").save(path)
    return path


@pytest.fixture
def exports(monkeypatch):
    """What `export_model` was called with; the export itself has its own tests."""
    calls = []
    real = advisor_export().export_model

    def noted(loaded, path, **arguments):
        calls.append(arguments)
        return real(loaded, path, format="saved_model") if arguments["format"] == "saved_model" else REPORT

    monkeypatch.setattr("advisor.export.export_model", noted)
    return calls


def advisor_export():
    import advisor.export

    return advisor.export


def report():
    from pathlib import Path

    from advisor.export import ExportReport

    return ExportReport(Path("o.tflite"), 1, {"row": (1, 3)}, ("label",), 900, 1000, {"SOFTMAX": 1}, {"SOFTMAX": 1})


REPORT = report()


def invoke(*arguments):
    result = CliRunner().invoke(app, ["export", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_options_name_what_there_is():
    assert {option.value for option in ExportFormat} == set(FORMATS)
    assert {option.value for option in Precision} == set(PRECISIONS)


def test_every_option_reaches_the_export(model, tmp_path, exports):
    np.savez(tmp_path / "test.npz", row=np.ones((5, 3)), y=np.zeros(5))
    np.savez(tmp_path / "train.npz", x=np.zeros((7, 3)))
    arguments = ["--quantize", "int8", "--batch-size", 2, "--allow-flex", "--tolerance", 0.1, "--seed", 3]
    files = ["--data", tmp_path / "test.npz", "--representative-data", tmp_path / "train.npz"]
    assert invoke(model, tmp_path / "o.tflite", *arguments, *files).exit_code == 0
    (given,) = exports
    x, y = given.pop("verify_data")
    assert x.shape == (5, 3)
    assert y.shape == (5,)
    assert given.pop("representative_data").shape == (7, 3)
    assert given == {
        "format": "tflite", "quantize": "int8", "batch_size": 2, "allow_flex": True, "tolerance": 0.1, "seed": 3,
    }  # fmt: skip


def test_what_is_not_given_is_left_to_the_export(model, tmp_path, exports):
    assert invoke(model, tmp_path / "o.tflite").exit_code == 0
    assert invoke(model, tmp_path / "o.onnx").exit_code == 0
    assert exports == [{"format": "tflite"}, {"format": "onnx"}]


def test_a_folder_is_written_as_saved_model(model, tmp_path):
    result = invoke(model, tmp_path / "served", "--to", "saved_model", "--format", "json")
    assert result.exit_code == 0
    written = json.loads(result.stdout)
    assert written["format"] == "saved_model"
    assert written["preparation"] == ["removed 1 Dropout"]
    assert (tmp_path / "served" / "saved_model.pb").is_file()


def test_the_report_is_written_in_the_format_asked_for(model, tmp_path, exports):
    assert invoke(model, tmp_path / "o.tflite").stdout == f"{REPORT}\n"
    assert invoke(model, tmp_path / "o.tflite", "--format", "json").stdout == f"{REPORT.to_json()}\n"
    assert invoke(model, tmp_path / "o.tflite", "--format", "html").stdout.startswith("<!doctype html>")
    result = invoke(model, tmp_path / "o.tflite", "--format", "html", "--report", tmp_path / "report.html")
    assert result.stdout == ""
    assert REPORT.to_html() in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["o.bin"], "must end in '.tflite'"),
        (["o.tflite", "--to", "onnx"], "must end in '.onnx'"),
        (["o.tflite", "--data", "absent.npz"], "there is no file"),
        (["o.tflite", "--data", "samples.csv"], "--data must be a file that `numpy.savez` or `numpy.save` wrote"),
        (["o.tflite", "--data", "broken.npz"], "must hold arrays of numbers that NumPy wrote"),
        (["o.tflite", "--data", "objects.npy"], "must hold arrays of numbers that NumPy wrote"),
        (["o.tflite", "--data", "other.npz"], "must hold the inputs of model 'net' by name (row, or x)"),
        (["o.tflite", "--report", "o.tflite"], "must be different files"),
        (["full", "--to", "saved_model"], "must be new, empty or one with a saved_model.pb in it"),
        (["folder", "--to", "saved_model", "--batch-size", "2"], "'saved_model' takes the arguments"),
    ],
)
def test_bad_input_is_explained_in_one_line(model, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.npz").write_bytes(b"PK but no archive")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    np.savez(tmp_path / "other.npz", column=np.ones(3))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").touch()
    before = set(tmp_path.rglob("*"))
    result = invoke(model, *arguments)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1
    assert set(tmp_path.rglob("*")) == before
