"""`keras-advisor check` on one model and on several: formats, exit codes, the baseline, the diff."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import jsonschema
import keras
import pytest

from advisor.rules import all_rules
from tests.advisor.cli.project import flawed_model, run
from tests.json_schemas import violations

ROOT = Path(__file__).parents[3]


@cache
def schema_of(path):
    return json.loads((ROOT / path).read_text("utf-8"))


def codes(report):
    return [finding["code"] for finding in report["findings"]]


def test_several_models_one_after_the_other(project):
    result = run("check", "models/small.keras", "models/large.keras", "--select", "N101,D203")
    assert result.exit_code == 1
    first, second = result.stdout.index("models/small.keras"), result.stdout.index("models/large.keras")
    assert first < second
    assert result.stdout.count("1 finding: 1 info.") == 2
    assert "keras-advisor fix models/large.keras --select N101,D203" in result.stdout


def test_json_of_one_model_is_a_report_and_of_several_a_list(project):
    alone = json.loads(run("check", "model.keras", "--select", "N", "--format", "json").stdout)
    assert alone["source"] == "model.keras"
    listed = json.loads(run("check", "model.keras", "nets:small", "--select", "N", "--format", "json").stdout)
    assert [report["source"] for report in listed] == ["model.keras", "nets:small"]
    schema = schema_of("docs/report.schema.json")
    assert [violations(report, schema, schema) for report in (alone, *listed)] == [[], [], []]


def test_sarif_of_files_and_functions_is_valid(project):
    result = run("check", "model.keras", "nets:small", "--select", "N101,N102", "--format", "sarif")
    log = json.loads(result.stdout)
    jsonschema.Draft4Validator(schema_of("tests/schemas/sarif-schema-2.1.0.json")).validate(log)
    places = [
        (location["artifactLocation"]["uri"], location["region"]["startLine"])
        for found in log["runs"][0]["results"]
        for location in (found["locations"][0]["physicalLocation"],)
    ]
    line = (project / "nets.py").read_text().splitlines().index("def small():") + 1
    assert places == [("model.keras", 1), ("nets.py", line)]


def test_github_annotations(project):
    result = run("check", "model.keras", "--select", "N101", "--format", "github")
    assert result.exit_code == 1
    assert result.stdout.startswith(
        "::notice file=model.keras,line=1,title=N101 bias-before-norm::conv, norm: `conv` has"
    )
    clean = run("check", "model.keras", "--select", "D203", "--format", "github")
    assert (clean.exit_code, clean.stdout) == (0, "")


def test_html_is_the_page_of_one_model(project):
    result = run("check", "model.keras", "--select", "N101", "--format", "html", "-o", "report.html")
    assert (result.exit_code, result.stdout) == (1, "")
    page = (project / "report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "bias-before-norm" in page
    refused = run("check", "model.keras", "nets:small", "--format", "html")
    assert refused.exit_code == 2
    assert "a page is about one model" in refused.stderr


def test_a_model_that_cannot_be_read_does_not_keep_the_others_from_it(project):
    (project / "text.keras").write_text("no model")
    names = ["text.keras", "model.keras", "absent.keras"]
    result = run("check", *names, "--select", "N101")
    assert result.exit_code == 2
    assert "1 finding: 1 info." in result.stdout
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["keras-advisor", "keras-advisor"]
    assert len(json.loads(run("check", *names, "--select", "N101", "--format", "json").stdout)) == 1
    (log,) = json.loads(run("check", *names, "--select", "N101", "--format", "sarif").stdout)["runs"]
    assert len(log["results"]) == 1
    assert len(log["invocations"][0]["toolExecutionNotifications"]) == 2
    annotations = run("check", *names, "--select", "N101", "--format", "github").stdout.splitlines()
    assert [line.split(" ")[0] for line in annotations] == ["::notice", "::error", "::error"]


def test_sarif_tells_of_the_only_model_that_could_not_be_read(project):
    result = run("check", "absent.keras", "--format", "sarif", "-o", "out.sarif")
    assert result.exit_code == 2
    (log,) = json.loads((project / "out.sarif").read_text("utf-8"))["runs"]
    assert log["invocations"][0]["executionSuccessful"] is False


def test_a_rule_that_fails_among_several_models(project, monkeypatch):
    def broken(*_):
        raise KeyError("a mistake of the rule")

    monkeypatch.setattr(type(all_rules()["D203"]), "check", broken)
    assert run("check", "model.keras", "nets:small", "--select", "D203").exit_code == 2
    assert run("check", "model.keras", "nets:small", "--select", "D203,N101").exit_code == 1


def test_data_and_history_wake_the_rules_that_need_them(project):
    def not_run(*options):
        report = json.loads(run("check", "model.keras", "--format", "json", *options).stdout)
        return {rule["code"] for rule in report["not_run"]}, report

    without, _ = not_run()
    with_all, report = not_run("--data", "train.npz", "--validation-data", "val.npz", "--history", "log.csv")
    assert {"H606", "H607", "T505"} <= without
    assert with_all & {"H606", "H607", "T505"} == set()
    assert report["data"]["samples"] == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "absent.npz"), "there is no file 'absent.npz'"),
        (("--validation-data", "log.csv"), "--validation-data must be a file that `numpy.savez`"),
        (("--history", "absent.csv"), "absent.csv"),
        (("--baseline", "absent.json"), "write it with --write-baseline absent.json"),
        (("--baseline", "log.csv"), "must be a baseline"),
        (("--baseline", "a.json", "--write-baseline", "b.json"), "give either --baseline or --write-baseline"),
        (("--write-baseline", "model.keras"), "must not take the place of the model"),
        (("--write-baseline", "absent/known.json"), "must exist"),
        (("--diff", "--format", "sarif"), "--diff goes with the formats text, json"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(project, options, message):
    before = (project / "model.keras").read_bytes()
    result = run("check", "model.keras", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert (project / "model.keras").read_bytes() == before


def test_diff_shows_what_fix_would_change_and_changes_nothing(project):
    before = {path: path.read_bytes() for path in project.rglob("*.keras")}
    result = run("check", "model.keras", "--select", "N101", "--diff")
    assert result.exit_code == 1
    assert "+conv: Conv2D(filters=4, kernel_size=(3, 3), use_bias=False)" in result.stdout
    assert "1 applied, 0 skipped" in result.stdout
    report = json.loads(run("check", "model.keras", "--select", "N101", "--diff", "--format", "json").stdout)
    assert [one["finding"]["code"] for one in report["rewrite"]["applied"]] == ["N101"]
    assert {path: path.read_bytes() for path in project.rglob("*.keras")} == before


def test_diff_keeps_to_the_safety_of_the_project(project):
    (project / "setup.cfg").write_text("[keras-advisor]\nsafety = exact\nselect = N101, N102\nbatch-size = 2\n")
    report = json.loads(run("check", "model.keras", "--diff", "--format", "json").stdout)
    assert [one["finding"]["code"] for one in report["rewrite"]["applied"]] == ["N101"]
    assert [one["finding"]["code"] for one in report["rewrite"]["skipped"]] == ["N102"]


def test_a_baseline_leaves_only_what_is_new(project):
    written = run("check", "model.keras", "--select", "N101", "--write-baseline", "known.json")
    assert written.exit_code == 0
    assert "1 finding more in the baseline." in written.stdout
    assert [entry["layer"] for entry in json.loads((project / "known.json").read_text())["findings"]] == ["conv"]
    options = ("--select", "N101,N102", "--batch-size", 2)
    new = json.loads(run("check", "model.keras", *options, "--baseline", "known.json", "--format", "json").stdout)
    assert codes(new) == ["N102"]
    assert new["baseline"] == {"known": 1, "gone": []}
    assert new["summary"]["findings"] == 1


def test_the_same_model_trained_anew_has_nothing_new(project):
    def save():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.0), keras.layers.Dense(2)])
        model.save("auto.keras")
        return model.layers[0].name

    first = save()
    assert run("check", "auto.keras", "--select", "D203", "--write-baseline", "known.json").exit_code == 0
    assert save() != first
    assert run("check", "auto.keras", "--select", "D203", "--baseline", "known.json").exit_code == 0


def test_what_is_gone_is_told(project):
    run("check", "model.keras", "--select", "N", "--write-baseline", "known.json")
    run("fix", "model.keras", "--select", "N101", "-o", "model.keras", "--force")
    result = run("check", "model.keras", "--select", "N", "--baseline", "known.json")
    assert result.exit_code == 0
    assert "1 finding of the baseline no longer found" in result.stdout
    assert "N101 conv of flawed" in result.stdout
    # Of what was not looked for, nothing is said.
    assert "no longer found" not in run("check", "model.keras", "--select", "D", "--baseline", "known.json").stdout
    assert "no longer found" not in run("check", "nets:small", "--baseline", "known.json").stdout


def test_models_of_one_name_share_what_is_known(project):
    shutil.copy("model.keras", "copy.keras")
    run("check", "model.keras", "--select", "N101", "--write-baseline", "known.json")
    result = run(
        "check", "model.keras", "copy.keras", "--select", "N101", "--baseline", "known.json", "--format", "json"
    )
    assert [codes(report) for report in json.loads(result.stdout)] == [[], ["N101"]]


def test_the_baseline_is_a_setting_by_the_path_from_its_file(project, monkeypatch):
    assert run("check", "model.keras", "--select", "N101", "--write-baseline", "known.json").exit_code == 0
    (project / "setup.cfg").write_text("[keras-advisor]\nbaseline = known.json\nselect = N101\n")
    monkeypatch.chdir(project / "models")
    assert run("check", "../model.keras").exit_code == 0
    assert run("check", "../model.keras", "--isolated", "--select", "N101").exit_code == 1
    assert run("check", "small.keras").exit_code == 1
    assert run("fix", "small.keras", "--diff").exit_code == 1


def test_no_baseline_is_written_of_a_part(project):
    result = run("check", "model.keras", "absent.keras", "--write-baseline", "known.json")
    assert result.exit_code == 2
    assert "no baseline is written" in result.stderr
    assert not (project / "known.json").exists()


def test_the_installed_command_writes_what_it_says(project):
    flawed_model("other").save("other.keras")
    program = Path(sys.executable).with_name("keras-advisor")
    arguments = ["check", "nets:small", "other.keras", "--select", "N101"]
    # As at a user's terminal, where the command itself holds TensorFlow's start-up messages back.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment["PYTHONPATH"] = str(ROOT)

    command = [program, *arguments, "--format", "sarif"]
    sarif = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (sarif.returncode, sarif.stderr) == (1, "imported\ncalled\n")
    log = json.loads(sarif.stdout)
    jsonschema.Draft4Validator(schema_of("tests/schemas/sarif-schema-2.1.0.json")).validate(log)
    assert (
        log["runs"][0]["results"][0]["partialFingerprints"]
        == (json.loads(run(*arguments, "--format", "sarif").stdout)["runs"][0]["results"][0]["partialFingerprints"])
    )
