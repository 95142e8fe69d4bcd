"""Annotations of GitHub Actions: read back by the rules of its runner, they say what was found, whatever the names."""

import dataclasses
import re
from pathlib import Path

import pytest

from advisor.facts.probes import ProbeFailure
from advisor.model_source import Source
from advisor.report.checked import Checked, Unread
from advisor.report.github import to_github
from advisor.report.identity import Identity
from advisor.rules import Finding, Fix, Requirement, Severity
from advisor.rules.examination import NotRun, RuleFailure

FILE = Source("models/net.keras", Path("models/net.keras"))
COMMAND = re.compile(r"::(?P<name>\w+) (?P<properties>[^:]*)::(?P<message>.*)")
HOSTILE = ["a:b,c", "50%", "%0A", "new\nline", "carriage\r\nreturn", "::error file=x::", "ünïcode", "a=b"]


def read(text):
    """Commands as the runner reads them: what a property must not hold is escaped in it, so that it splits at it."""
    commands = []
    for line in text.split("\n") if text else []:
        match = COMMAND.fullmatch(line)
        pairs = (pair.split("=", 1) for pair in match["properties"].split(","))
        properties = {key: unescaped(value.replace("%3A", ":").replace("%2C", ",")) for key, value in pairs}
        commands.append((match["name"], properties, unescaped(match["message"])))
    return commands


def unescaped(text):
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def finding(*paths, **arguments):
    settings = {
        "code": "N101",
        "name": "some-defect",
        "severity": Severity.WARNING,
        "message": "a message",
        "why": "So.",
    }
    return Finding(layers=paths, **{**settings, **arguments})


@pytest.fixture
def checked_of(examination_of):
    def make(*findings, source=FILE, **arguments):
        return Checked(source, examination_of(findings, **arguments), plan=None)

    return make


def test_a_finding_is_told_at_its_file(checked_of):
    found = finding("conv", "norm", fix=Fix("drop the bias", (), "exact"))
    assert to_github([checked_of(found)], []) == (
        "::warning file=models/net.keras,line=1,title=N101 some-defect::"
        "conv, norm: a message%0ASo.%0AFix (exact): drop the bias"
    )


def test_severities_are_those_of_github(checked_of):
    text = to_github([checked_of(*(finding(severity=severity) for severity in Severity))], [])
    assert [name for name, *_ in read(text)] == ["error", "warning", "notice"]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_told_as_it_is_and_begins_no_command(checked_of, name):
    source = Source(f"{name}.keras", Path(f"{name}.keras"))
    (command,) = read(to_github([checked_of(finding(name, message=f"`{name}` is odd"), source=source)], []))
    assert command == (
        "warning",
        {"file": f"{name}.keras", "line": "1", "title": "N101 some-defect"},
        f"{name}: `{name}` is odd\nSo.",
    )


def test_nothing_found_is_nothing_said(checked_of):
    assert to_github([checked_of()], []) == ""


def test_what_did_not_run_failed_or_could_not_be_read_is_told(checked_of):
    checked = checked_of(
        failures=[RuleFailure("N101", "ValueError: no, luck", "Traceback …")],
        not_run=[NotRun("N102", "a", (Requirement.BATCH_SIZE,)), NotRun("N103", "b", (Requirement.BATCH_SIZE,))],
    )
    examination = dataclasses.replace(checked.examination, not_measured=(ProbeFailure("dead_share", "OOM"),))
    gone = (Identity("net", "N101", "conv"),)
    commands = read(
        to_github([dataclasses.replace(checked, examination=examination, gone=gone)], [Unread("b.keras", "no model")])
    )
    assert [(name, properties["title"], message) for name, properties, message in commands] == [
        ("error", "N101 failed, please report it", "ValueError: no, luck"),
        ("warning", "dead_share could not be measured", "OOM"),
        ("notice", "2 rules did not run", "N102, N103: missing the batch size"),
        ("notice", "1 finding of the baseline no longer found", "N101 conv of net"),
        ("error", "b.keras was not examined", "no model"),
    ]


def test_findings_of_a_real_model(advice):
    commands = read(to_github([Checked(FILE, advice.examination, advice.plan)], []))
    titles = [properties["title"] for _, properties, _ in commands]
    assert titles[: len(advice.findings)] == [f"{found.code} {found.name}" for found in advice.findings]
