"""`package.module:function` as a model: what it may return, and errors that explain."""

import json
import sys

import keras
import pytest

from advisor.cli.models import ModelFile, ModelFunction, as_a_whole, named_model, with_structure
from tests.advisor.cli.project import run


@pytest.mark.parametrize("name", ["small", "model", "with_defaults", "trained"])
def test_what_may_be_named(project, name):
    loaded = with_structure(named_model(f"nets:{name}"), unsafe=False)
    assert isinstance(loaded.model, keras.Model)
    assert loaded.source.name == f"nets:{name}"
    assert loaded.source.place == "nets.py"
    lines = (project / "nets.py").read_text().splitlines()
    assert lines[loaded.source.line - 1].startswith(f"def {name}(" if name != "model" else "")
    assert set(loaded.told) == ({"data", "validation_data", "batch_size", "epochs"} if name == "trained" else set())


def test_a_module_in_a_package(project):
    (project / "nets").mkdir()
    (project / "nets.py").rename(project / "nets" / "vision.py")
    assert as_a_whole(named_model("nets.vision:small"), unsafe=False).model.count_params() == 66


def test_a_file_counts_before_a_function(project):
    (project / "nets:small").touch()
    assert isinstance(named_model("nets:small"), ModelFile)
    (project / "nets:small").unlink()
    assert named_model("nets:small") == ModelFunction("nets", "small")


@pytest.mark.parametrize(
    "text", ["nets", "nets:", ":small", "nets:small:other", "a b:c", "nets:small()", "C:\\m.keras"]
)
def test_what_is_neither_file_nor_function(project, text):
    with pytest.raises(FileNotFoundError, match=r"\.keras` model, or package\.module:function"):
        named_model(text)


def test_what_the_function_tells_counts_before_the_settings_and_after_the_options(project):
    (project / "setup.cfg").write_text("[keras-advisor]\nbatch-size = 3\nreplicas = 2\n")

    def training(*options):
        return json.loads(run("check", "nets:trained", "--format", "json", *options).stdout)["training"]

    assert training() == {"batch_size": 8, "steps_per_epoch": 8, "epochs": 1, "replicas": 2}
    assert training("--batch-size", 16)["batch_size"] == 16
    assert json.loads(run("check", "nets:trained", "--format", "json").stdout)["data"]["samples"] == 64


def test_data_in_a_file_counts_before_what_the_function_tells(project):
    report = json.loads(run("check", "nets:trained", "--data", "val.npz", "--format", "json").stdout)
    assert report["data"]["samples"] == 32


def test_names_do_not_depend_on_what_was_made_before(project):
    reports = json.loads(run("check", "nets:small", "nets:small", "--select", "N101", "--format", "json").stdout)
    assert (
        reports[0]["findings"][0]["layers"] == reports[1]["findings"][0]["layers"] == ["conv2d", "batch_normalization"]
    )


def test_what_the_code_prints_stays_out_of_the_report(project):
    result = run("check", "nets:small", "--select", "N101", "--format", "json")
    assert json.loads(result.stdout)["model"]["name"] == "sequential"
    assert "called" in result.stderr


def test_a_mended_model_of_a_function_is_written_beside_the_user(project):
    result = run("check", "nets:small", "--select", "N101")
    assert "keras-advisor fix nets:small --select N101 -o small-fixed.keras" in result.stdout
    assert run("fix", "nets:small", "--select", "N101", "-o", "small-fixed.keras").exit_code == 0
    assert keras.saving.load_model("small-fixed.keras").layers[0].use_bias is False


@pytest.mark.slow
def test_a_race_takes_the_data_of_the_function(project):
    result = run("race", "nets:trained", "--budget", "1 trials", "--seeds", 1, "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["samples"] == 16


def test_a_race_says_what_data_it_lacks(project):
    lacking = run("race", "nets:small")
    assert lacking.exit_code == 2
    assert "Received: no --data and no --validation-data" in lacking.stderr
    assert "Received: no --validation-data" in run("race", "model.keras", "--data", "train.npz").stderr


def test_an_export_is_verified_on_the_data_of_the_function(project):
    result = run("export", "nets:trained", "served", "--to", "saved_model", "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["verified_samples"] == 32


ERRORS = {
    "absent:small": "there is no module 'absent', neither in the current folder nor installed. Received: 'absent'",
    "nets.absent:small": "there is no module 'nets.absent'",
    "nets:smal": "module 'nets' has no 'smal'; did you mean small?",
    "nets:zzz": "module 'nets' has no 'zzz'; it has leaving, ",
    "nets:with_arguments": "Received: a function that needs size, depth",
    "nets:number": "must return a keras.Model, or a pair of one and a dictionary of arguments of `advise`. Received: i",
    "nets:returning": "Received: a tuple of int, dict",
    "nets:misspelled": "of `advise`. Received: batchsize",
}


@pytest.mark.parametrize(("name", "message"), ERRORS.items(), ids=ERRORS)
@pytest.mark.parametrize("command", ["check", "fix"])
def test_errors_that_explain(project, command, name, message):
    result = run(command, name, *(["-o", "out.keras"] if command == "fix" else []))
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("keras-advisor: ")]
    assert message in line
    assert "Traceback" not in result.stderr
    assert not (project / "out.keras").exists()


RAISING = {
    "nets:raising": ('return {}["no such key"]', "'nets:raising' raised KeyError: 'no such key'"),
    "nets:leaving": ('raise SystemExit("done")', "'nets:leaving' raised SystemExit: done"),
    "broken:small": ("1 / 0", "importing 'broken' raised ZeroDivisionError: division by zero"),
    "misspelt:small": ("def small(:", "importing 'misspelt' raised SyntaxError"),
    "needy:small": ("import no_such_library", "importing 'needy' raised ModuleNotFoundError: No module named"),
}


@pytest.mark.parametrize(("name", "expected"), RAISING.items(), ids=RAISING)
def test_an_error_of_the_code_is_shown_where_it_is(project, name, expected):
    code, message = expected
    if not name.startswith("nets"):
        (project / f"{name.partition(':')[0]}.py").write_text(f"import keras\n{code}\n")
    result = run("check", name)
    assert result.exit_code == 2
    trace, _, line = result.stderr.rpartition("keras-advisor: ")
    assert message in line
    assert line.count("\n") == 1
    assert code in trace
    assert "user_code.py" not in trace
    assert "importlib" not in trace


def test_the_current_folder_is_looked_at_once(project):
    before = len(sys.path)
    run("check", "nets:small", "nets:model", "--select", "D203")
    assert len(sys.path) == before + 1
