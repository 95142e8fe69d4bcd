import json
import math
from pathlib import Path

import numpy as np
import pytest

from advisor.facts import Measurement
from advisor.report import rewrite_to_dict, to_dict, to_json
from advisor.report.json_report import plain
from advisor.rules import Finding, PlanChange, Severity
from advisor.training import make_plan
from tests.json_schemas import violations

SCHEMA_FILE = Path(__file__).parents[3] / "docs" / "report.schema.json"


@pytest.fixture
def schema():
    return json.loads(SCHEMA_FILE.read_text("utf-8"))


def only_json_types(value):
    if type(value) is dict:
        return all(type(key) is str and only_json_types(item) for key, item in value.items())
    if type(value) is list:
        return all(map(only_json_types, value))
    return type(value) in (str, int, bool, type(None)) or (type(value) is float and math.isfinite(value))


def test_the_report_follows_its_published_schema(advice, schema):
    assert violations(advice.to_dict(), schema, schema) == []


def test_the_schema_notices_what_breaks_it(advice, schema):
    report = advice.to_dict()
    del report["findings"][0]["why"]
    report["model"]["params"] = "many"
    report["findings"][1]["severity"] = "fatal"
    report["surprise"] = 1
    assert violations(report, schema, schema) == [
        "report.model.params is a str, not integer",
        "report.findings[0] lacks why",
        "report.findings[1].severity is 'fatal'",
        "report.surprise is not described",
    ]


def test_json_holds_the_same_as_the_dict_and_only_json_types(advice):
    report = to_dict(advice.examination, advice.plan)
    assert only_json_types(report)
    assert json.loads(to_json(advice.examination, advice.plan)) == report
    assert "\n" not in to_json(advice.examination, advice.plan, indent=None)


def test_the_report_says_what_was_found(advice):
    report = advice.to_dict()
    assert report["schema"] == "keras-advisor/1"
    assert report["model"]["name"] == "small_cnn"
    assert report["model"]["family"] == "conv"
    assert report["training"] == {"batch_size": 4, "steps_per_epoch": 8, "epochs": 2, "replicas": 1}
    assert report["data"]["samples"] == 32
    assert report["data"]["inputs"][0]["shape"] == [8, 8, 1]
    assert [entry["code"] for entry in report["findings"]] == [finding.code for finding in advice.findings]
    bias = next(entry for entry in report["findings"] if entry["code"] == "N101")
    assert bias["layers"][0] == "conv1"
    assert bias["fix"]["safety"] == "exact"
    assert {"edit", "path", "description"} == set(bias["fix"]["edits"][0])
    assert bias["references"][0]["url"] == "https://arxiv.org/abs/1502.03167"
    assert report["summary"]["findings"] == len(report["findings"])
    assert report["summary"]["fixable"] == sum(entry["fix"] is not None for entry in report["findings"])


def test_the_whole_examination_is_there_without_data(examination_of, schema):
    examination = examination_of()
    report = to_dict(examination, make_plan((), examination.facts))
    assert violations(report, schema, schema) == []
    assert report["data"] is None
    assert report["findings"] == []


def test_figures_of_any_kind_become_plain(examination_of, schema):
    odd = Finding(
        *("X101", "some-defect", Severity.INFO, ("dense",), "message", "why"),
        measurements=(Measurement("ratio", np.float32(np.inf), "1", np.int64(8), 0, float("nan")),),
        plan=(PlanChange("other", {"rates": np.array([0.5, np.nan]), "names": {"b", "a"}, "path": Path("x")}, "do"),),
    )
    examination = examination_of([odd])
    report = to_dict(examination, make_plan((), examination.facts))
    assert only_json_types(report)
    assert violations(report, schema, schema) == []
    entry = report["findings"][0]
    assert entry["measurements"][0]["value"] is None
    assert entry["measurements"][0]["samples"] == 8
    assert entry["measurements"][0]["threshold"] is None
    assert entry["plan"][0]["settings"] == {"rates": [0.5, None], "names": ["a", "b"], "path": "x"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.bool_(True), True),
        (np.int8(3), 3),
        (np.float64(0.25), 0.25),
        (np.str_("s"), "s"),
        (Severity.ERROR, "error"),
        ({1: (2, None)}, {"1": [2, None]}),
        (-math.inf, None),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_plain(value, expected):
    result = plain(value)
    assert result == expected
    assert type(result) is type(expected)


def test_a_rewrite_as_plain_data(advice):
    rewrite = advice.rewrite("exact")
    report = rewrite_to_dict(rewrite)
    assert only_json_types(report)
    assert report["parity"] == rewrite.parity
    assert [entry["finding"]["code"] for entry in report["applied"]] == ["N101", "N101"]
    assert report["applied"][0]["round"] == 1
    assert {entry["reason"] for entry in report["skipped"]} == {fix.reason for fix in rewrite.skipped}
    assert report["weights"]["small_cnn/conv1/kernel"] == {"origin": "kept", "source": "small_cnn/conv1/kernel"}
    assert "\n".join(report["diff"]) == rewrite.diff
