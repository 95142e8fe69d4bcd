"""All rules run over the facts: what they found, what could not run, what failed."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from advisor.facts import Facts
from advisor.facts.probes import ProbeFailure
from advisor.graph import ModelGraph, refusal_of
from advisor.graph.source_code import by_hand
from advisor.rules.base import Requirement, Rule, unmet
from advisor.rules.finding import Finding, Severity
from advisor.rules.layer_ignores import NOTHING_IGNORED, LayerIgnores
from advisor.rules.registry import broken_plugins

_SEVERITY_ORDER = list(Severity)


@dataclass(frozen=True)
class NotRun:
    """A rule that could not run, since something it needs is not known.

    Attributes:
        code: The rule's code.
        name: The rule's name.
        missing: What would have to be known.
    """

    code: str
    name: str
    missing: tuple[Requirement, ...]


@dataclass(frozen=True)
class RuleFailure:
    """A rule that crashed, or rules of a plugin that could not be loaded; the others ran.

    Attributes:
        code: The rule's code; the name of the plugin's entry point.
        error: Type and message of the exception.
        trace: Its traceback, for a bug report.
    """

    code: str
    error: str
    trace: str


@dataclass(frozen=True, eq=False)
class Examination:
    """What the rules said of one model.

    Attributes:
        facts: What they read.
        findings: Errors first, then warnings, then offers; by code and place within those.
        not_run: Rules whose requirements were not met.
        failures: Rules that crashed, and plugins that did.
        ignored: What was found at layers at which the user ignores the rule.
        not_measured: Probes that failed; rules that asked them went by the structure.
    """

    facts: Facts
    findings: tuple[Finding, ...]
    not_run: tuple[NotRun, ...]
    failures: tuple[RuleFailure, ...]
    ignored: tuple[Finding, ...] = ()
    not_measured: tuple[ProbeFailure, ...] = ()


def examine(facts: Facts, rules: Iterable[Rule], ignores: LayerIgnores = NOTHING_IGNORED) -> Examination:
    """Run rules over facts.

    Args:
        facts: What is known.
        rules: The rules to run.
        ignores: Layers at which some of them are to be silent.

    Returns:
        Their findings, in order, and which rules did not run or failed.
    """
    findings: list[Finding] = []
    not_run: list[NotRun] = []
    failures = [RuleFailure(plugin.name, plugin.error, plugin.trace) for plugin in broken_plugins()]
    for rule in rules:
        try:
            missing = tuple(requirement for requirement in Requirement if _lacks(rule, requirement, facts))
            if missing:
                not_run.append(NotRun(rule.code, rule.name, missing))
            else:
                findings.extend(_with_refusal(finding, facts.graph) for finding in list(rule.check(facts)))
        except Exception as error:
            failures.append(RuleFailure(rule.code, f"{type(error).__name__}: {error}", traceback.format_exc()))
    kept, ignored = ignores.divide(_ordered(findings, facts), facts.graph)
    return Examination(facts, tuple(kept), tuple(not_run), tuple(failures), tuple(ignored))


def _lacks(rule: Rule, requirement: Requirement, facts: Facts) -> bool:
    return requirement in rule.requires and unmet(requirement, facts)


def _ordered(findings: Sequence[Finding], facts: Facts) -> list[Finding]:
    places = {path: position for position, path in enumerate(facts.layers)}
    return sorted(
        findings,
        key=lambda finding: (
            _SEVERITY_ORDER.index(finding.severity),
            finding.code,
            places.get(finding.layer or "", -1),
        ),
    )


def _with_refusal(finding: Finding, graph: ModelGraph) -> Finding:
    """The finding with its fix taken back where it reaches into something that cannot be rewritten."""
    if finding.fix is None:
        return finding
    reasons = [reason for edit in finding.fix.edits if (reason := refusal_of(edit, graph))]
    if not reasons:
        return finding
    return replace(finding, fix=None, refusal=f"{reasons[0]}. By hand: {by_hand(finding.fix.edits, graph)}")
