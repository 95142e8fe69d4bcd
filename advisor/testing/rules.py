"""Conformance of one rule: its own cases, held to the laws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from advisor.advice import Advice, advise
from advisor.rules import Case, Rule, all_rules
from advisor.testing.laws import check_laws, randomize_weights, structure

_SECTIONS = ("What it does", "Why it matters", "Example", "Fix")


def check_rule(rule: Rule | str) -> None:
    """Check a rule against its own VALID and INVALID cases and all laws.

    Silent on every VALID case; on every INVALID case a finding, and where the case says what the model must become,
    exactly that. Rules of plugins are checked the same way.

    Args:
        rule: The rule or its code.

    Raises:
        AssertionError: If it does not conform; the message names the case.

    Example:
    >>> check_rule("D203")
    """
    rule = all_rules()[rule] if isinstance(rule, str) else rule
    _check_description(rule)
    for case in rule.VALID:
        found = _advice(rule, case, case.model()).findings
        assert not found, f"{rule.code}, valid case {case.title!r}: speaks up: {[finding.message for finding in found]}"
    for case in rule.INVALID:
        _check_invalid(rule, case)


def _check_description(rule: Rule) -> None:
    assert rule.VALID, f"{rule.code} has no VALID case"
    assert rule.INVALID, f"{rule.code} has no INVALID case"
    missing = [section for section in _SECTIONS if section not in (type(rule).__doc__ or "")]
    assert not missing, f"{rule.code}: its docstring lacks the sections {missing}"


def _check_invalid(rule: Rule, case: Case) -> None:
    place = f"{rule.code}, invalid case {case.title!r}"
    model = randomize_weights(case.model())
    advice = _advice(rule, case, model)
    assert not advice.not_run, f"{place}: not run, lacks {advice.not_run[0].missing}"
    assert advice.findings, f"{place}: stays silent"
    for finding in advice.findings:
        assert finding.code == rule.code, f"{place}: gives the code {finding.code}"
        assert finding.message, f"{place}: says nothing"
        assert finding.why, f"{place}: does not say why"
    if case.expected is None:
        fixable = [finding.fix.title for finding in advice.findings if finding.fix]
        assert not fixable, f"{place}: has fixes {fixable} but the case does not say what they lead to"
        return
    try:
        rewrite = check_laws(model, safety=("exact", "retrain"), select=rule.code, **_arguments(case))
    except AssertionError as error:
        raise AssertionError(f"{place}: {error}") from error
    assert rewrite.applied, f"{place}: nothing applied; {[skipped.reason for skipped in rewrite.skipped]}"
    expected, actual = structure(case.expected()), structure(rewrite.model)
    assert actual == expected, f"{place}: became\n{_lines(actual)}\ninstead of\n{_lines(expected)}"


def _advice(rule: Rule, case: Case, model: keras.Model) -> Advice:
    advice = advise(model, select=rule.code, verbose=0, **_arguments(case))
    assert not advice.failures, f"{rule.code}, case {case.title!r}: crashed\n{advice.failures[0].trace}"
    return advice


def _arguments(case: Case) -> Mapping[str, Any]:
    given = {key: value() if callable(value) else value for key, value in case.arguments.items()}
    # The weights are random in the cases, which must not make the models look trained.
    return {"trained": False, **given}


def _lines(entries: list[Any]) -> str:
    return "\n".join(f"  {name} {config} ← {producers}" for name, config, producers in entries)
