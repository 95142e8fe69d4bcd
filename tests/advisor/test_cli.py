import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

import advisor
from advisor.cli import app
from advisor.cli.options import Task
from advisor.facts import TASKS
from advisor.rules import all_rules

SCRIPT = Path(sys.executable).with_name("keras-advisor")


def flawed_model() -> keras.Model:
    """An exact fix (the bias of `conv`), a retrain fix (the statistics of `norm` at batch 2), and nothing else."""
    stack = [layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU()]
    head = [layers.GlobalAveragePooling2D(), layers.Dense(2, activation="softmax")]
    return keras.Sequential([keras.Input((8, 8, 1)), *stack, *head], name="flawed")


@pytest.fixture(scope="module")
def flawed(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "flawed.keras"
    flawed_model().save(path)
    return path


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def squeezed(text):
    return " ".join(text.split())


def outputs(path):
    x = np.random.default_rng(0).random((2, 8, 8, 1), dtype="float32")
    return keras.ops.convert_to_numpy(keras.saving.load_model(path)(x, training=False))


def test_check_reports_findings_and_how_to_fix_them(flawed):
    result = invoke("check", flawed, "--batch-size", 2, "--select", "N")
    assert result.exit_code == 1
    assert "flawed · 6 layers" in result.stdout
    assert "2 findings: 1 warning, 1 info. Fixable: 1 exact, 1 retrain." in result.stdout
    mended = flawed.with_name("flawed-fixed.keras")
    command = squeezed(result.stdout.replace("\\\n", "").partition("Fix them:")[2])
    assert command == f"keras-advisor fix {flawed} --batch-size 2 --select N -o {mended}"
    assert result.stderr == ""


def test_check_of_a_model_without_findings(flawed):
    result = invoke("check", flawed, "--select", "D203")
    assert result.exit_code == 0
    assert "Nothing found." in result.stdout
    assert "Fix them" not in result.stdout


def test_select_and_ignore_take_lists_and_may_be_repeated(flawed):
    def codes(*options):
        report = json.loads(invoke("check", flawed, "--batch-size", 2, "--format", "json", *options).stdout)
        return {finding["code"] for finding in report["findings"]}

    assert codes("--select", "N101,N102") == {"N101", "N102"}
    assert codes("--select", "N101", "--select", "n102") == {"N101", "N102"}
    assert codes("--select", "N", "--ignore", "N102,D") == {"N101"}


def test_everything_told_reaches_the_report(flawed):
    options = ["--epochs", 3, "--steps-per-epoch", 5, "--replicas", 2, "--target", "mobile", "--task", "regression"]
    result = invoke("check", flawed, "--batch-size", 16, "--format", "json", *options)
    report = json.loads(result.stdout)
    assert report["training"] == {"batch_size": 16, "steps_per_epoch": 5, "epochs": 3, "replicas": 2}
    assert (report["model"]["target"], report["model"]["task"]) == ("mobile", "regression")
    assert result.exit_code == 1


@pytest.mark.parametrize("report_format", ["text", "json"])
def test_a_report_goes_to_a_file(flawed, tmp_path, report_format):
    target = tmp_path / "report"
    result = invoke("check", flawed, "--select", "N101", "--format", report_format, "--output", target)
    assert result.exit_code == 1
    assert result.stdout == ""
    text = target.read_text("utf-8")
    if report_format == "json":
        assert json.loads(text)["findings"][0]["code"] == "N101"
    else:
        assert "N101 bias-before-norm" in text
    assert list(tmp_path.iterdir()) == [target]


def test_fix_writes_the_mended_model_and_leaves_the_other(flawed, tmp_path):
    before = flawed.read_bytes()
    target = tmp_path / "out.keras"
    result = invoke("fix", flawed, "-o", target, "--select", "N101")
    assert result.exit_code == 0
    assert "1 applied, 0 skipped" in result.stdout
    assert f"Written to {target}" in squeezed(result.stdout)
    assert flawed.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]
    assert keras.saving.load_model(target).get_layer("conv").use_bias is False
    np.testing.assert_allclose(outputs(target), outputs(flawed), rtol=1e-5, atol=1e-7)
    assert invoke("check", target, "--select", "N101").exit_code == 0


def test_fixes_that_were_not_asked_for_leave_findings(flawed, tmp_path):
    result = invoke("fix", flawed, "-o", tmp_path / "out.keras", "--batch-size", 2, "--safety", "exact")
    assert result.exit_code == 1
    assert "only exact fixes were asked for" in squeezed(result.stdout)
    mended = keras.saving.load_model(tmp_path / "out.keras")
    assert isinstance(mended.get_layer("norm"), layers.BatchNormalization)
    assert mended.get_layer("conv").use_bias is False


@pytest.mark.parametrize("safety", ["retrain", "all"])
def test_every_safety_is_obeyed(flawed, tmp_path, safety):
    result = invoke("fix", flawed, "-o", tmp_path / "out.keras", "--batch-size", 2, "--safety", safety, "--select", "N")
    mended = keras.saving.load_model(tmp_path / "out.keras")
    assert isinstance(mended.get_layer("norm"), layers.GroupNormalization)
    assert mended.get_layer("conv").use_bias is (safety == "retrain")
    assert result.exit_code == 0


def test_a_model_without_findings_is_written_as_it_is(flawed, tmp_path):
    result = invoke("fix", flawed, "-o", tmp_path / "out.keras", "--select", "D203")
    assert result.exit_code == 0
    np.testing.assert_array_equal(outputs(tmp_path / "out.keras"), outputs(flawed))


def test_diff_shows_the_change_and_writes_nothing(flawed, tmp_path):
    target = tmp_path / "out.keras"
    result = invoke("fix", flawed, "-o", target, "--diff", "--batch-size", 2, "--select", "N")
    assert result.exit_code == 1
    assert "-norm: BatchNormalization" in result.stdout
    assert "+norm: GroupNormalization" in result.stdout
    assert "applied" in result.stderr
    assert not target.exists()
    assert invoke("fix", flawed, "--diff", "--select", "D203").exit_code == 0


def test_fix_replaces_a_file_only_when_told(flawed, tmp_path):
    target = tmp_path / "out.keras"
    target.write_bytes(b"precious")
    refused = invoke("fix", flawed, "-o", target, "--select", "N101")
    assert refused.exit_code == 2
    assert "pass --force" in refused.stderr
    assert target.read_bytes() == b"precious"
    assert invoke("fix", flawed, "-o", target, "--select", "N101", "--force").exit_code == 0
    assert zipfile.is_zipfile(target)


def test_a_rewrite_as_json(flawed, tmp_path):
    result = invoke("fix", flawed, "-o", tmp_path / "out.keras", "--select", "N101", "--format", "json")
    report = json.loads(result.stdout)
    assert [entry["finding"]["code"] for entry in report["applied"]] == ["N101"]
    assert report["skipped"] == []


def test_export_writes_a_verified_file(flawed, tmp_path):
    target = tmp_path / "out.tflite"
    result = invoke("export", flawed, target, "--batch-size", 2, "--format", "json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["max_relative_difference"] <= 1e-4
    assert report["batch_size"] == 2
    assert target.stat().st_size == report["size_bytes"]
    assert list(tmp_path.iterdir()) == [target]


def test_rules_are_listed_shown_and_written(tmp_path):
    listed = invoke("rules")
    assert listed.exit_code == 0
    assert all(rule.code in listed.stdout and rule.name in listed.stdout for rule in all_rules().values())
    page = invoke("rules", "n101")
    assert "N101: bias-before-norm" in page.stdout
    assert "Why it matters" in page.stdout
    written = invoke("rules", "N10", "--pages", tmp_path)
    assert written.exit_code == 0
    assert {"N101.md", "N102.md", "README.md"} <= {path.name for path in tmp_path.iterdir()}


def test_version():
    assert invoke("--version").stdout == "0.1.0\n"


def bad_models(folder):
    (folder / "text.keras").write_text("no model")
    (folder / "old.h5").write_text("no model")
    with zipfile.ZipFile(folder / "zip.keras", "w") as archive:
        archive.writestr("other.txt", "no model")
    return folder


@pytest.mark.parametrize("command", ["check", "fix", "export"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing.keras", "there is no file"),
        ("text.keras", "is no `.keras` model file"),
        ("zip.keras", "could not be loaded as a Keras model"),
        ("old.h5", "convert it with `keras.saving.load_model("),
        ("", "there is no file"),
    ],
)
def test_a_file_that_is_no_model(tmp_path, command, name, expected):
    model = bad_models(tmp_path) / name
    before = set(tmp_path.iterdir())
    output = {"check": [], "fix": ["-o", tmp_path / "o.keras"], "export": [tmp_path / "o.tflite"]}[command]
    result = invoke(command, model, *output)
    assert result.exit_code == 2
    assert result.stderr.startswith("keras-advisor: ")
    assert result.stderr.count("\n") == 1
    assert expected in result.stderr
    assert result.stdout == ""
    assert set(tmp_path.iterdir()) == before


def test_a_report_does_not_take_the_place_of_its_model(tmp_path):
    model = tmp_path / "m.keras"
    keras.Sequential([keras.Input((3,)), layers.Dense(2)]).save(model)
    before = model.read_bytes()
    result = invoke("check", model, "-o", model)
    assert result.exit_code == 2
    assert "must not take the place of the model" in result.stderr
    assert model.read_bytes() == before


def test_a_model_with_an_unknown_layer_is_named_without_its_whole_configuration(tmp_path):
    class Unknown(layers.Layer):
        def call(self, x):
            return x

    keras.Sequential([keras.Input((3,)), Unknown(), layers.Dense(2)]).save(tmp_path / "m.keras")
    result = invoke("check", tmp_path / "m.keras")
    assert result.exit_code == 2
    assert "Could not locate class 'Unknown'" in result.stderr
    assert len(result.stderr) < 700
    assert "GlorotUniform" not in result.stderr


@pytest.fixture
def with_code(tmp_path):
    doubled = layers.Lambda(lambda x: 2 * x, output_shape=(3,), name="doubled")
    path = tmp_path / "code.keras"
    keras.Sequential([keras.Input((3,)), doubled, layers.Dropout(0.0), layers.Dense(2, name="dense")]).save(path)
    return path


@pytest.mark.parametrize("command", ["check", "fix", "export"])
def test_code_in_a_file_is_refused_and_the_option_named(with_code, command):
    output = {"check": [], "fix": ["-o", "o.keras"], "export": ["o.tflite"]}[command]
    result = invoke(command, with_code, *(with_code.with_name(part) if "." in part else part for part in output))
    assert result.exit_code == 2
    assert "holds Python code (a Lambda layer)" in result.stderr
    assert "--unsafe" in result.stderr
    assert result.stderr.count("\n") == 1


def test_code_in_a_file_runs_where_the_user_trusts_it(with_code):
    target = with_code.with_name("out.keras")
    checked = invoke("check", with_code, "--unsafe", "--select", "D203")
    assert checked.exit_code == 1
    assert "--unsafe" in checked.stdout.partition("Fix them:")[2]
    assert invoke("fix", with_code, "--unsafe", "--select", "D203", "-o", target).exit_code == 0
    before, after = (keras.saving.load_model(path, safe_mode=False) for path in (with_code, target))
    assert [layer.name for layer in after.layers] == ["doubled", "dense"]
    np.testing.assert_array_equal(before(np.ones((2, 3))), after(np.ones((2, 3))))


UNUSABLE = {
    "no such folder": ("absent/out", "must exist"),
    "a folder": ("folder", "is a directory"),
    "not writable": ("/proc/out", "must be writable"),
}


@pytest.mark.parametrize(("name", "expected"), UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("command", ["check", "fix", "export", "demo"])
def test_an_unusable_output_is_noticed_before_the_work(tmp_path, command, name, expected):
    # A file that is no model: the output is complained of, so it was looked at first.
    model = bad_models(tmp_path) / "text.keras"
    suffix = {"check": ".json", "fix": ".keras", "export": ".tflite", "demo": ".tflite"}[command]
    (tmp_path / f"folder{suffix}").mkdir()
    before = set(tmp_path.rglob("*"))
    output = tmp_path / f"{name}{suffix}"
    arguments = {"export": [model, output], "demo": ["-o", output]}.get(command, [model, "-o", output])
    result = invoke(command, *arguments)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["check", "{model}", "--select", "X999"], "there is no rule 'X999'"),
        (["check", "{model}", "--ignore", "X999"], "there is no rule 'X999'"),
        (["fix", "{model}", "-o", "{folder}/o.keras", "--select", "X999"], "there is no rule 'X999'"),
        (["rules", "X999"], "there is no rule 'X999'"),
        (["fix", "{model}", "-o", "{folder}/o.h5"], "must end in '.keras'"),
        (["export", "{model}", "{folder}/o.keras"], "must end in '.tflite'"),
        (["rules", "--pages", "{model}"], "File exists"),
        (["demo", "--data", "mnist", "--epochs", "1", "--seeds", "1"], "mnist"),
    ],
)
def test_bad_input_is_explained_in_one_line(flawed, tmp_path, arguments, expected):
    result = invoke(*(argument.format(model=flawed, folder=tmp_path) for argument in arguments))
    assert result.exit_code == 2
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["check", "m.keras", "--batch-size", "0"], "--batch-size"),
        (["check", "m.keras", "--epochs", "-1"], "--epochs"),
        (["check", "m.keras", "--task", "singing"], "singing"),
        (["check", "m.keras", "--format", "xml"], "xml"),
        (["fix", "m.keras"], "-o OUT.keras"),
        (["fix", "m.keras", "-o", "o.keras", "--safety", "none"], "none"),
        (["check"], "Missing argument"),
        (["mend", "m.keras"], "No such command"),
    ],
)
def test_wrong_usage(arguments, expected):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert expected in result.stderr


def test_a_defect_of_the_advisor_is_no_finding(flawed, monkeypatch):
    def broken(*_, **__):
        raise KeyError("our own mistake")

    monkeypatch.setattr(advisor, "advise", broken)
    result = invoke("check", flawed)
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "our own mistake" in result.stderr


def test_a_rule_that_fails_is_no_clean_result(flawed, monkeypatch):
    def broken(*_):
        raise KeyError("a mistake of the rule")

    monkeypatch.setattr(type(all_rules()["D203"]), "check", broken)
    alone = invoke("check", flawed, "--select", "D203")
    assert alone.exit_code == 2
    assert "failed, please report it: KeyError: 'a mistake of the rule'" in squeezed(alone.stdout)
    beside_findings = invoke("check", flawed, "--select", "D203,N101")
    assert beside_findings.exit_code == 1


def test_the_tasks_are_those_of_advise():
    assert tuple(task.value for task in Task) == TASKS


def test_the_command_line_imports_keras_only_in_its_commands():
    # The package itself is left out: what it imports is its own matter.
    program = f"""
        import sys, types
        package = types.ModuleType("advisor")
        package.__path__ = [{str(Path(advisor.__file__).parent)!r}]
        sys.modules["advisor"] = package
        import advisor.cli
        assert "typer" in sys.modules
        print(sorted({{"keras", "tensorflow"}} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_installed_command(flawed, tmp_path):
    # As at a user's terminal, where the command itself holds TensorFlow's start-up messages back.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}

    def run(*arguments):
        command = [SCRIPT, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    fixed = run("fix", flawed, "-o", "out.keras", "--batch-size", "2", "--select", "N")
    assert fixed.returncode == 0, fixed.stderr
    assert "2 applied, 0 skipped" in fixed.stdout
    checked = run("check", "out.keras", "--batch-size", "2", "--select", "N")
    assert checked.returncode == 0, checked.stdout
    assert "\x1b" not in checked.stdout
    assert "Traceback" not in checked.stderr
