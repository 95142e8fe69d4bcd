"""Which fixes go into one rebuild, in which order, and why the others must wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from advisor.graph import Edit, ModelGraph
from advisor.rules import Finding, Fix

# Correctness, then trainability, then generalization, then export; the code decides inside a family.
_FAMILY_ORDER = {"H": 0, "N": 1, "T": 1, "D": 2, "R": 2, "A": 2, "E": 3}
_CORRECTNESS = frozenset({"R301"})


@dataclass(frozen=True)
class Lost:
    """A fix that had to give way in this round.

    Attributes:
        finding: What it would have mended.
        winner: Code of the rule whose fix goes first.
    """

    finding: Finding
    winner: str


@dataclass(frozen=True)
class Round:
    """The fixes of one rebuild.

    Attributes:
        accepted: Findings whose fixes go together, in order.
        lost: Findings whose fixes touch the same places.
    """

    accepted: tuple[Finding, ...]
    lost: tuple[Lost, ...]


def priority(finding: Finding) -> tuple[int, str]:
    """Sort key of the documented order; codes of plugins come after the families known here."""
    family = 0 if finding.code in _CORRECTNESS else _FAMILY_ORDER.get(finding.code[0], 4)
    return family, finding.code


def plan_round(findings: Iterable[Finding], graph: ModelGraph) -> Round:
    """Choose fixes that do not touch the same places.

    Args:
        findings: Findings with fixes.
        graph: Graph of the model they are about.

    Returns:
        The round: of two fixes that meet, the one with the higher priority. Equal edits are no conflict.
    """
    accepted: list[Finding] = []
    lost: list[Lost] = []
    owners: dict[tuple[str, str], tuple[str, Edit]] = {}
    for finding in sorted(findings, key=priority):
        fix = _fix(finding)
        winner = next((code for code, edit in _rivals(fix, graph, owners) if edit not in fix.edits), None)
        if winner is not None:
            lost.append(Lost(finding, winner))
            continue
        accepted.append(finding)
        for edit in fix.edits:
            for touch in _touches(edit, graph):
                owners.setdefault(touch, (finding.code, edit))
    return Round(tuple(accepted), tuple(lost))


def merged_edits(findings: Sequence[Finding]) -> list[Edit]:
    """The edits of all the findings' fixes, equal ones once."""
    # Not all edits can be hashed; those of one node are few.
    edits: dict[str, list[Edit]] = {}
    for finding in findings:
        for edit in _fix(finding).edits:
            same_place = edits.setdefault(edit.path, [])
            if edit not in same_place:
                same_place.append(edit)
    return [edit for same_place in edits.values() for edit in same_place]


def _fix(finding: Finding) -> Fix:
    assert finding.fix is not None
    return finding.fix


def _rivals(fix: Fix, graph: ModelGraph, owners: dict[tuple[str, str], tuple[str, Edit]]) -> Iterable[tuple[str, Edit]]:
    return (owners[touch] for edit in fix.edits for touch in _touches(edit, graph) if touch in owners)


def _touches(edit: Edit, graph: ModelGraph) -> Iterable[tuple[str, str]]:
    """The footprint, with all calls of one layer named by the first."""
    for part, path in edit.footprint:
        yield part, graph.calls_of(path)[0] if part == "layer" else path
