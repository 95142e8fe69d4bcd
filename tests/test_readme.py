"""What the README shows is what the package does: its Python runs, its commands exist, its rules are all rules."""

import json
import re
import shlex
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from typer.main import get_command

from advisor import advise
from advisor.cli import app
from advisor.cli.configuration import read_configuration
from advisor.rules import all_rules
from benchmarks.advice.cells import CELLS
from benchmarks.advice.summary import goals, has

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
SPEED = (ROOT / "docs" / "speed.md").read_text("utf-8")
PIPELINE = (ROOT / "docs" / "ci.md").read_text("utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
SHELL = re.findall(r"^    (\S.*)$", re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
COMMANDS = [line[line.index("keras-advisor") :] for line in SHELL if "keras-advisor" in line]
MODULES = sorted(set(re.findall(r"python -m ([\w.]+)", README)))


def readers_own():
    """The model and data that a reader has at hand: an untrained network, and pictures to train it on."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    pictures, labels = random.random((64, 8, 8, 1), "float32"), random.integers(0, 3, 64)
    dataset = tf.data.Dataset.from_tensor_slices((pictures, labels)).batch(32)
    return {"model": model, "train": dataset, "val": dataset}


def test_the_python_runs_in_the_order_it_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = readers_own()
    before = [weight.copy() for weight in names["model"].get_weights()]
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), names)
    assert len(PYTHON) == 2
    assert "N112" in capsys.readouterr().out
    assert (tmp_path / "model.tflite").stat().st_size > 0
    assert names["better"] is not names["model"]
    for weight, old in zip(names["model"].get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)  # "yours stays as it is"
    parts = keras.Model(names["inputs"], names["x"])
    assert parts.predict(np.ones((1, 32, 32, 3)), verbose=0).shape == (1, 32, 32, 32)


def results(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))


def test_the_speed_of_the_layers_is_what_was_measured():
    measured = results("layers")
    for layer, goal in measured["goals"].items():
        means = [measured["summary"][mode][layer]["geometric_mean"] for mode in ("graph", "compiled", "eager")]
        floor = measured["summary"]["graph"][layer]["geometric_mean_at_floor"]
        verdict = f"{goal['geometric_mean_in_graphs']:.0f} ×, {'reached' if goal['reached'] else 'missed'}"
        assert f"| `{layer}` | " + " | ".join(f"{mean:.2f} ×" for mean in [*means, floor]) + f" | {verdict} |" in SPEED
        assert f"{layer.removesuffix('Normalization').lower()} {means[0]:.2f} ×" in README.replace("RMS", "rms")
    step = results("resnet_step")
    off, peak = step["jit_compile"]["off"], step["peak_memory_mib"]
    assert f"{off['ours_ms']:.0f} ms instead of {off['keras_ms']:.0f} ({off['ratio']:.2f} ×)" in SPEED
    assert f"{peak['ours']:.0f} MiB at its peak instead of {peak['keras']:.0f}" in SPEED


def test_the_figures_of_the_demo_are_what_was_measured():
    figures = results("demo")["figures"]
    for name in ("as_written", "n112_alone", "as_advised"):
        by_seed = ", ".join(f"{100 * value:.1f} %" for value in figures[name])
        assert f"{100 * np.mean(figures[name]):.1f} %" in README
        assert f"| {by_seed} |" in README


def test_the_figures_of_the_advice_are_what_was_measured():
    for goal in goals([record for cell in CELLS if has(record := cell.record())]):
        assert f"| {goal.name} | {goal.aim} | {goal.reached} | {'met' if goal.is_met else '**missed**'} |" in README


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_line_has_the_arguments_it_shows(line):
    program, name, *arguments = shlex.split(line)
    assert program == "keras-advisor"
    command = get_command(app).commands[name]
    assert command.make_context(name, arguments).info_name == name


def test_all_commands_are_tried():
    assert {shlex.split(line)[1] for line in COMMANDS} == set(get_command(app).commands)


def test_the_settings_are_read_as_shown(tmp_path):
    block, _ = re.findall(r"^```ini\n(.*?)^```", PIPELINE, re.DOTALL | re.MULTILINE)
    file = tmp_path / "setup.cfg"
    file.write_text(block, "utf-8")
    settings = read_configuration(file).settings
    assert {"batch_size", "ignore", "per_layer_ignores"} == set(settings)
    advise(readers_own()["model"], **settings)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_to_run_is_there(module):
    place = ROOT / module.replace(".", "/")
    assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()


def test_the_number_of_rules_is_right():
    own = [rule for rule in all_rules().values() if type(rule).__module__.startswith("advisor.")]
    assert f"| {len(own)}: normalization (N)" in README


def test_links_lead_somewhere():
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
