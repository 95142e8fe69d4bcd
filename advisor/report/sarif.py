"""Findings as SARIF 2.1.0, which code scanning of GitHub and others read.

A model is no text, so that results have a file and the path of a layer, but no lines, and fixes, which SARIF knows as
edits of text alone, are told in words.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from advisor.report.checked import Checked, Unread
from advisor.report.identity import fingerprints, names_in
from advisor.report.json_report import dumps
from advisor.report.rule_pages import read_docstring, rule_page
from advisor.report.wording import missing, remedy
from advisor.rules import Rule, all_rules, reference

if TYPE_CHECKING:
    from advisor.model_source import Source
    from advisor.rules import Finding

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

FINGERPRINT = "keras-advisor/v1"
"""Name of the fingerprint; a new version where findings come to be known by something else."""

FINGERPRINT_FOR_GITHUB = "primaryLocationLineHash"
"""The only one that GitHub's code scanning looks at."""

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def to_sarif(checked: Sequence[Checked], unread: Sequence[Unread]) -> str:
    """A run as SARIF.

    Args:
        checked: Models that were examined.
        unread: Models that could not be.

    Returns:
        The text of a `.sarif` file.
    """
    return dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(checked, unread)]})


def _run(checked: Sequence[Checked], unread: Sequence[Unread]) -> dict[str, Any]:
    rules = _rules_named(checked)
    places = {rule.code: place for place, rule in enumerate(rules)}
    return {
        "tool": {
            "driver": {
                "name": "keras-advisor",
                "version": version("keras-normpack"),
                "rules": list(map(_descriptor, rules)),
            }
        },
        "invocations": [_invocation(checked, unread)],
        "artifacts": [
            {"location": {"uri": uri}, "roles": ["analysisTarget"]}
            for uri in dict.fromkeys(one.source.uri for one in checked)
        ],
        "results": [result for one in checked for result in _results(one, places)],
        "properties": {
            "known": sum(one.known for one in checked),
            "gone": [str(identity) for one in checked for identity in one.gone],
        },
    }


def _rules_named(checked: Sequence[Checked]) -> list[Rule]:
    codes: set[str] = set()
    for examination in (one.examination for one in checked):
        codes |= {finding.code for finding in examination.findings}
        codes |= {rule.code for rule in examination.not_run} | {failure.code for failure in examination.failures}
    return [rule for code, rule in all_rules().items() if code in codes]


def _descriptor(rule: Rule) -> dict[str, Any]:
    summary, sections = read_docstring(rule)
    text = " ".join(summary.split())
    descriptor = {
        "id": rule.code,
        "name": "".join(map(str.capitalize, rule.name.split("-"))),
        "shortDescription": {"text": text},
        "fullDescription": {"text": " ".join(sections.get("Why it matters", text).split())},
        "help": {"text": "\n\n".join([text, *sections.values()]), "markdown": rule_page(rule)},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": [rule.name, str(rule.confidence)]},
    }
    return descriptor | ({"helpUri": reference(rule.references[0]).url} if rule.references else {})


def _results(checked: Checked, places: dict[str, int]) -> Iterator[dict[str, Any]]:
    findings = checked.examination.findings
    names = names_in(checked.examination.facts.graph, checked.source)
    for finding, fingerprint in zip(findings, fingerprints(map(names.identity, findings)), strict=True):
        yield _result(finding, checked.source, names.model) | {
            "ruleIndex": places[finding.code],
            "partialFingerprints": {FINGERPRINT: fingerprint, FINGERPRINT_FOR_GITHUB: fingerprint},
        }


def _result(finding: Finding, source: Source, model: str) -> dict[str, Any]:
    first, *others = finding.layers or (None,)
    return {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": "\n\n".join([finding.message, finding.why, *remedy(finding)])},
        "locations": [_location(source, model, first)],
        "relatedLocations": [
            {"id": number, **_location(source, model, layer)} for number, layer in enumerate(others, 1)
        ],
        "properties": {
            "confidence": finding.confidence,
            "fix": finding.fix and finding.fix.safety,
            "measurements": [f"{measurement}" for measurement in finding.measurements],
        },
    }


def _location(source: Source, model: str, layer: str | None) -> dict[str, Any]:
    whole = {"name": model, "fullyQualifiedName": model, "kind": "model"}
    part = {"name": (layer or "").rpartition("/")[2], "fullyQualifiedName": f"{model}/{layer}", "kind": "layer"}
    return {
        # GitHub shows nothing that has no line.
        "physicalLocation": {"artifactLocation": {"uri": source.uri}, "region": {"startLine": source.line}},
        "logicalLocations": [whole if layer is None else part],
    }


def _invocation(checked: Sequence[Checked], unread: Sequence[Unread]) -> dict[str, Any]:
    failures = [(one, failure) for one in checked for failure in one.examination.failures]
    return {
        "executionSuccessful": not unread and not failures,
        "toolConfigurationNotifications": [note for one in checked for note in _not_run(one)],
        "toolExecutionNotifications": [
            *(
                _notification("error", f"{failure.code} failed: {failure.error}", one.source, failure.code)
                for one, failure in failures
            ),
            *(
                _notification("warning", f"{probe.probe} could not be measured: {probe.error}", one.source)
                for one in checked
                for probe in one.examination.not_measured
            ),
            *({"level": "error", "message": {"text": f"{one.name} was not examined: {one.error}"}} for one in unread),
        ],
    }


def _not_run(checked: Checked) -> Iterator[dict[str, Any]]:
    for needs, codes in missing(checked.examination.not_run):
        for code in codes:
            yield _notification("note", f"{code} did not run: missing {needs}", checked.source, code)


def _notification(level: str, text: str, source: Source, code: str | None = None) -> dict[str, Any]:
    notification: dict[str, Any] = {
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": source.uri}}}],
    }
    return notification if code is None else notification | {"associatedRule": {"id": code}}
