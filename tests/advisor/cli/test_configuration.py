"""Settings in `pyproject.toml` and `setup.cfg`: found, checked, and overruled by options."""

import json
from pathlib import Path

import keras
import pytest
from keras import layers
from typer.testing import CliRunner

from advisor.cli import app
from advisor.cli.configuration import (
    Configuration,
    ConfigurationError,
    find_configuration,
    read_configuration,
    settings_of_run,
)
from advisor.cli.options import Safety

TOML = """
[tool.keras-advisor]
select = ["N", "D203"]
batch-size = 2
safety = "exact"
[tool.keras-advisor.per-layer-ignores]
"backbone/*" = "N102"
"head*" = ["N101", "D"]
"""
CFG = """
[keras-advisor]
select = N, D203
batch-size = 2
safety = exact
per-layer-ignores =
    backbone/*: N102
    head*: N101, D
"""
SETTINGS = {
    "select": ("N", "D203"),
    "batch_size": 2,
    "safety": "exact",
    "per_layer_ignores": {"backbone/*": ("N102",), "head*": ("N101", "D")},
}


def written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, "utf-8")
    return file


@pytest.mark.parametrize(("name", "text"), [("pyproject.toml", TOML), ("setup.cfg", CFG)])
def test_both_files_say_the_same(tmp_path, name, text):
    file = written(tmp_path, name, text)
    assert dict(read_configuration(file).settings) == SETTINGS


def test_the_nearest_file_with_the_section_counts(tmp_path):
    written(tmp_path, "setup.cfg", "[keras-advisor]\nignore = N\n")
    (tmp_path / ".git").mkdir()
    inner = tmp_path / "project" / "models"
    written(inner, "pyproject.toml", "[tool.other]\nx = 1\n")
    assert find_configuration(inner).settings == {"ignore": ("N",)}
    near = written(inner.parent, "pyproject.toml", "[tool.keras-advisor]\nignore = ['D']\n")
    assert find_configuration(inner) == Configuration({"ignore": ("D",)}, near.resolve())


def test_pyproject_counts_before_setup_cfg(tmp_path):
    written(tmp_path, "setup.cfg", CFG)
    written(tmp_path, "pyproject.toml", "[tool.keras-advisor]\nepochs = 3\n")
    assert find_configuration(tmp_path).settings == {"epochs": 3}


def test_the_search_ends_at_the_root_of_the_repository(tmp_path):
    written(tmp_path, "setup.cfg", CFG)
    inner = tmp_path / "repository"
    (inner / ".git").mkdir(parents=True)
    assert find_configuration(inner) == Configuration()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batchsize = 4", "unknown setting 'batchsize'; did you mean batch-size"),
        ("batch-size = 0", "'batch-size' in .* must be a whole number of at least 1. Received: '0'"),
        ("batch-size = many", "must be a whole number of at least 1"),
        ("target = desktop", "'target' in .* must be one of mobile. Received: 'desktop'"),
        ("safety = reckless", "must be one of exact, retrain, all"),
        ("task = guessing", "must be one of classification"),
        ("per-layer-ignores = backbone", "must be patterns of layer paths with codes"),
    ],
)
def test_wrong_settings_are_named_with_their_file(tmp_path, text, message):
    file = written(tmp_path, "setup.cfg", f"[keras-advisor]\n{text}\n")
    with pytest.raises(ConfigurationError, match=message):
        read_configuration(file)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[tool.keras-advisor\n"),
        ("pyproject.toml", "[tool]\nkeras-advisor = 3\n"),
        ("pyproject.toml", "[tool.keras-advisor]\nbatch-size = true\n"),
        ("pyproject.toml", "[tool.keras-advisor]\nselect = 3\n"),
        ("setup.cfg", "select = N\n"),
        ("setup.cfg", "[metadata]\nname = x\n"),
    ],
)
def test_broken_files_are_one_clear_error(tmp_path, name, text):
    with pytest.raises(ConfigurationError, match=name):
        read_configuration(written(tmp_path, name, text))
    with pytest.raises(ConfigurationError, match="no configuration file"):
        read_configuration(tmp_path / "absent.toml")


def test_options_overrule_the_file(tmp_path, monkeypatch):
    file = written(tmp_path, "setup.cfg", CFG)
    monkeypatch.chdir(tmp_path)
    assert settings_of_run({"batch_size": 8}, None, isolated=False) == {**SETTINGS, "batch_size": 8}
    assert settings_of_run({}, file, isolated=False) == SETTINGS
    assert settings_of_run({"batch_size": 8}, None, isolated=True) == {"batch_size": 8}
    patterns = {"per_layer_ignores": ["conv*:N", "head:D203,N1"]}
    merged = settings_of_run(patterns, None, isolated=True)
    assert merged == {"per_layer_ignores": {"conv*": ("N",), "head": ("D203", "N1")}}
    with pytest.raises(ValueError, match="--per-layer-ignores must be patterns"):
        settings_of_run({"per_layer_ignores": ["conv"]}, None, isolated=True)
    with pytest.raises(ConfigurationError, match="not both"):
        settings_of_run({}, file, isolated=True)


def test_the_commands_read_the_file(tmp_path, monkeypatch):
    stack = [layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU()]
    model = keras.Sequential([keras.Input((8, 8, 1)), *stack, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    monkeypatch.chdir(tmp_path)

    def codes(*options):
        result = CliRunner().invoke(app, ["check", "model.keras", "--format", "json", *options])
        return [finding["code"] for finding in json.loads(result.stdout)["findings"]]

    written(tmp_path, "setup.cfg", "[keras-advisor]\nselect = N101,N102\nbatch-size = 2\n")
    assert codes() == ["N102", "N101"]
    assert codes("--batch-size", "64") == ["N101"]
    assert codes("--per-layer-ignores", "no*:N102") == ["N101"]
    assert codes("--isolated", "--select", "N102") == []
    written(tmp_path, "setup.cfg", f"[keras-advisor]\nselect = N101,N102\nbatch-size = 2\nsafety = {Safety.EXACT}\n")
    result = CliRunner().invoke(app, ["fix", "model.keras", "-o", "mended.keras"])
    assert result.exit_code == 1
    mended = keras.saving.load_model(tmp_path / "mended.keras")
    assert not mended.get_layer("conv").use_bias
    assert isinstance(mended.get_layer("norm"), layers.BatchNormalization)
    written(tmp_path, "setup.cfg", "[keras-advisor]\nbatch-size = none\n")
    result = CliRunner().invoke(app, ["check", "model.keras"])
    assert result.exit_code == 2
    assert "'batch-size' in" in " ".join(result.stderr.split())
