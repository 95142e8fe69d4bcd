"""What the report says of the findings: one card for those that one rule found for one reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from advisor.graph import ModelGraph
from advisor.graph.source_code import CodeChange, change_in_code
from advisor.report.html.charts import MOST_BARS, Bar
from advisor.report.wording import alike
from advisor.rewrite import Rewrite
from advisor.rules import Finding, Reference

Outcomes = Mapping[tuple[str, tuple[str, ...]], tuple[str, bool]]
"""What became of a finding's fix, and whether it is mended, by code and layers."""

MOST_PLACES = 3
"""So many places of a card are shown; the others are behind a line that opens."""


@dataclass(frozen=True)
class Line:
    """A line of a diff: its sign, `-`, `+` or a space, and its text."""

    sign: str
    text: str


@dataclass(frozen=True)
class Place:
    """One finding of a card.

    Attributes:
        number: Which of the findings it is.
        layers: Paths of the layers it is about, each with the id of its box or None.
        message: What was found.
        cure: What the fix does, or None.
        safety: Whether the fix keeps the function; None without a fix.
        outcome: What became of the fix; empty where nothing is known.
        is_applied: Whether it is in the rewritten model.
        refusal: Why there is no fix, or None.
        diff: The fix in the code of the model.
        code: The code to paste; empty where there is none.
    """

    number: int
    layers: tuple[tuple[str, str | None], ...]
    message: str
    cure: str | None
    safety: str | None
    outcome: str
    is_applied: bool
    refusal: str | None
    diff: tuple[Line, ...]
    code: str


@dataclass(frozen=True)
class Measured:
    """Figures of one kind, to be drawn.

    Attributes:
        name: What was measured.
        unit: In which unit.
        threshold: What the rule compares it with, or None.
        bars: The figures.
        basis: What they rest on.
        left_out: How many smaller ones are not drawn.
    """

    name: str
    unit: str
    threshold: float | None
    bars: tuple[Bar, ...]
    basis: str
    left_out: int


@dataclass(frozen=True)
class Card:
    """Findings of one rule that say the same why.

    Attributes:
        code, name, severity, confidence, why, references: As in `Finding`.
        places: The findings.
        measured: Their figures.
        plan: What they change in the training run.
    """

    code: str
    name: str
    severity: str
    confidence: str
    why: str
    references: tuple[Reference, ...]
    places: tuple[Place, ...]
    measured: tuple[Measured, ...]
    plan: tuple[str, ...]

    @property
    def shown(self) -> tuple[Place, ...]:
        """The places that are shown at once."""
        return self.places[:MOST_PLACES]

    @property
    def more(self) -> tuple[Place, ...]:
        """The places behind a line that opens."""
        return self.places[MOST_PLACES:]


def cards_of(
    findings: Sequence[Finding], graph: ModelGraph, rewrite: Rewrite | None, ids: Mapping[str, str]
) -> tuple[Card, ...]:
    """The cards.

    Args:
        findings: The findings, in the order that gives them their numbers.
        graph: Graph of the model they are about.
        rewrite: What was done about them, or None.
        ids: Ids of the boxes of layers, by path.

    Returns:
        The cards, in the order of their first findings.
    """
    numbers = {id(finding): number for number, finding in enumerate(findings)}
    outcomes = _outcomes(rewrite)
    return tuple(_card(group, numbers, graph, outcomes, ids) for group in alike(findings))


def _card(
    findings: Sequence[Finding],
    numbers: Mapping[int, int],
    graph: ModelGraph,
    outcomes: Outcomes | None,
    ids: Mapping[str, str],
) -> Card:
    first = findings[0]
    return Card(
        code=first.code,
        name=first.name,
        severity=str(first.severity),
        confidence=str(first.confidence),
        why=first.why,
        references=first.references,
        places=tuple(_place(finding, numbers[id(finding)], graph, outcomes, ids) for finding in findings),
        measured=tuple(_measured(findings)),
        plan=tuple(dict.fromkeys(change.title for finding in findings for change in finding.plan)),
    )


def _place(
    finding: Finding,
    number: int,
    graph: ModelGraph,
    outcomes: Outcomes | None,
    ids: Mapping[str, str],
) -> Place:
    fix = finding.fix
    settled = "settled by another fix" if outcomes is not None and fix else ""
    outcome, is_applied = (outcomes or {}).get((finding.code, finding.layers), (settled, bool(settled)))
    changes = [change_in_code(edit, graph) for edit in fix.edits if edit.path in graph.nodes] if fix else []
    return Place(
        number=number,
        layers=tuple((path, ids.get(path)) for path in finding.layers),
        message=finding.message,
        cure=fix.title if fix else None,
        safety=fix.safety if fix else None,
        outcome=outcome,
        is_applied=is_applied,
        refusal=finding.refusal,
        diff=tuple(_diff(changes)),
        code="\n".join(_code(changes)),
    )


def _outcomes(rewrite: Rewrite | None) -> Outcomes | None:
    if rewrite is None:
        return None
    skipped = {(one.finding.code, one.finding.layers): (f"not applied: {one.reason}", False) for one in rewrite.skipped}
    applied = {(one.finding.code, one.finding.layers): ("applied", True) for one in rewrite.applied}
    return skipped | applied


def _diff(changes: Iterable[CodeChange]) -> Iterator[Line]:
    for change in changes:
        if change.where:
            yield Line(" ", f"# {change.where}")
        yield from (Line("-", line) for line in (change.before or "").splitlines())
        yield from (Line("+", line) for line in (change.after or "").splitlines())


def _code(changes: Iterable[CodeChange]) -> Iterator[str]:
    for change in changes:
        if change.after:
            yield f"# {change.where}\n{change.after}" if change.where else change.after


def _measured(findings: Sequence[Finding]) -> Iterator[Measured]:
    groups: defaultdict[tuple[str, str, float | None], list[tuple[str, float]]] = defaultdict(list)
    bases: dict[tuple[str, str, float | None], str] = {}
    for finding in findings:
        for one in finding.measurements:
            kind = (one.name, one.unit, one.threshold)
            groups[kind].append((finding.layer or "the run", one.value))
            bases[kind] = f"{one.samples:,} samples, seed {one.seed}"
    for (name, unit, threshold), figures in groups.items():
        largest = sorted(figures, key=lambda figure: -abs(figure[1]))[:MOST_BARS]
        kept = [figure for figure in figures if figure in largest]
        rows = tuple(Bar(label, value) for label, value in kept)
        yield Measured(name, unit, threshold, rows, bases[name, unit, threshold], len(figures) - len(rows))
