"""SARIF: valid by the official schema, with layers named whatever they are called, and the same in every run."""

import dataclasses
import json
from functools import cache
from pathlib import Path

import jsonschema
import keras
import pytest
from keras import layers

from advisor import advise
from advisor.facts.probes import ProbeFailure
from advisor.model_source import Source
from advisor.report.checked import Checked, Unread
from advisor.report.identity import Identity
from advisor.report.sarif import to_sarif
from advisor.rules import Finding, Fix, PlanChange, Requirement, Severity
from advisor.rules.examination import NotRun, RuleFailure

SCHEMA = Path(__file__).parents[2] / "schemas" / "sarif-schema-2.1.0.json"
FILE = Source("models/net.keras", Path("models/net.keras"))
HOSTILE = ["a b", "ünïcode", 'quote"d', "50%", "[x](1)", "{0}", "new\nline", "::error::", "back\\slash", "<b>"]


@cache
def validator():
    return jsonschema.Draft4Validator(json.loads(SCHEMA.read_text("utf-8")))


def sarif(*checked, unread=()):
    """The run of a log that is known to be valid."""
    log = json.loads(to_sarif(checked, unread))
    validator().validate(log)
    return log["runs"][0]


@pytest.fixture
def checked_of(examination_of):
    def make(*findings, source=FILE, **arguments):
        return Checked(source, examination_of(findings, **arguments), plan=None)

    return make


def finding(*paths, code="N101", **arguments):
    settings = {"name": "bias-before-norm", "severity": Severity.WARNING, "message": "a message", "why": "It matters."}
    return Finding(code=code, layers=paths, **{**settings, **arguments})


def test_the_schema_tells_good_from_bad():
    assert list(validator().iter_errors({"version": "2.1.0", "runs": [{"tool": {}}]}))


def test_an_examination_as_it_is(advice):
    run = sarif(Checked(FILE, advice.examination, advice.plan))
    assert [result["ruleId"] for result in run["results"]] == [found.code for found in advice.findings]
    rules = run["tool"]["driver"]["rules"]
    for result, found in zip(run["results"], advice.findings, strict=True):
        rule = rules[result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
        assert rule["helpUri"].startswith("https://")
        assert "## Why it matters" in rule["help"]["markdown"]
        assert rule["help"]["text"]
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == "models/net.keras"
        (logical,) = location["logicalLocations"]
        expected = "small_cnn" if found.layer is None else f"small_cnn/{found.layer}"
        assert logical["fullyQualifiedName"] == expected
        assert len(result["relatedLocations"]) == max(len(found.layers) - 1, 0)
    assert run["invocations"][0]["executionSuccessful"] is True
    told = {note["associatedRule"]["id"] for note in run["invocations"][0]["toolConfigurationNotifications"]}
    assert told == {rule.code for rule in advice.not_run}


def test_severities_become_levels(checked_of):
    run = sarif(checked_of(*(finding("dense", severity=severity) for severity in Severity)))
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]


def test_fixes_are_told_in_words(checked_of):
    plan = (PlanChange("early_stopping", {}, "stop early"),)
    fixable = finding("dense", fix=Fix("drop the bias", (), "exact"), plan=plan)
    refused = finding("dense", refusal="it is code. By hand: x = 1")
    texts = [result["message"]["text"] for result in sarif(checked_of(fixable, refused))["results"]]
    assert texts == [
        "a message\n\nIt matters.\n\nFix (exact): drop the bias\n\nTraining: stop early",
        "a message\n\nIt matters.\n\nNo fix: it is code. By hand: x = 1",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_layer_name_is_told_as_it_is(checked_of, name):
    (result,) = sarif(checked_of(finding(f"block/{name}", "other", message=f"`{name}` is odd")))["results"]
    (logical,) = result["locations"][0]["logicalLocations"]
    assert (logical["name"], logical["fullyQualifiedName"]) == (name, f"two_layers/block/{name}")
    assert f"`{name}` is odd" in result["message"]["text"]
    assert [place["id"] for place in result["relatedLocations"]] == [1]


@pytest.mark.parametrize(
    ("name", "uri"), [("my nets/50% #1.keras", "my%20nets/50%25%20%231.keras"), ("ü.keras", "%C3%BC.keras")]
)
def test_any_file_name_is_a_uri(checked_of, name, uri):
    run = sarif(checked_of(finding("dense"), source=Source(name, Path(name))))
    assert [artifact["location"]["uri"] for artifact in run["artifacts"]] == [uri]


def test_a_file_elsewhere_has_an_absolute_uri(checked_of, tmp_path):
    file = tmp_path / "net.keras"
    run = sarif(checked_of(finding("dense"), source=Source(str(file), file)))
    assert run["artifacts"][0]["location"]["uri"] == file.as_uri()


def test_a_function_has_the_line_it_stands_in(checked_of):
    run = sarif(checked_of(finding("dense"), source=Source("nets.vision:small", Path("nets/vision.py"), 12)))
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "nets/vision.py"}, "region": {"startLine": 12}}


def test_no_findings(checked_of):
    run = sarif(checked_of())
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is True


def test_what_failed_and_what_could_not_be_measured(checked_of):
    checked = checked_of(failures=[RuleFailure("N101", "ValueError: no luck", "Traceback …")])
    examination = dataclasses.replace(checked.examination, not_measured=(ProbeFailure("dead_share", "OOM"),))
    run = sarif(dataclasses.replace(checked, examination=examination), unread=[Unread("b.keras", "no model")])
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert [(note["level"], note["message"]["text"]) for note in invocation["toolExecutionNotifications"]] == [
        ("error", "N101 failed: ValueError: no luck"),
        ("warning", "dead_share could not be measured: OOM"),
        ("error", "b.keras was not examined: no model"),
    ]


def test_what_did_not_run_says_what_it_lacks(checked_of):
    not_run = [NotRun("N102", "a", (Requirement.BATCH_SIZE,)), NotRun("T505", "b", (Requirement.HISTORY,))]
    run = sarif(checked_of(not_run=not_run))
    notes = [note["message"]["text"] for note in run["invocations"][0]["toolConfigurationNotifications"]]
    assert notes == [
        "N102 did not run: missing the batch size",
        "T505 did not run: missing the history of an earlier run",
    ]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["N102", "T505"]


def test_several_models_and_what_the_baseline_has(checked_of):
    other = Source("b.keras", Path("b.keras"))
    known = dataclasses.replace(checked_of(source=other), known=3, gone=(Identity("net", "N101", "conv"),))
    run = sarif(checked_of(finding("dense")), checked_of(finding("dense"), source=other), known)
    assert [artifact["location"]["uri"] for artifact in run["artifacts"]] == ["models/net.keras", "b.keras"]
    assert run["properties"] == {"known": 3, "gone": ["N101 conv of net"]}


def prints(run):
    return [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]


def test_fingerprints_are_one_per_finding_and_know_nothing_of_figures(checked_of):
    found = [finding("dense"), finding("dense"), finding("other"), finding(code="T501")]
    first = prints(sarif(checked_of(*found)))
    again = prints(sarif(checked_of(*(dataclasses.replace(one, message="other figures") for one in found))))
    assert first == again
    assert len(set(first)) == 4


def test_fingerprints_do_not_depend_on_what_was_made_before():
    def run():
        stack = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Conv2D(4, 3), layers.BatchNormalization()]
        model = keras.Sequential([keras.Input((9, 9, 1)), *stack])
        return sarif(Checked(FILE, advise(model, select="N101").examination, plan=None)), model.layers[0].name

    (first, name), (second, other) = run(), run()
    assert name != other
    assert len(prints(first)) == 2
    assert prints(first) == prints(second)
