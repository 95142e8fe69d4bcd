"""Models that were examined, beside the findings that are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.cli.examining import Examined
from advisor.output_files import write_text
from advisor.report.baseline import Baseline, baseline_of, new_ones, no_longer_found
from advisor.report.checked import Checked
from advisor.report.identity import Identity, Names, names_in

if TYPE_CHECKING:
    from advisor.rules import Finding


def write(file: Path, examined: Sequence[Examined]) -> Baseline:
    """Write all that was found as known.

    Args:
        file: Where to write it; what it holds is replaced.
        examined: The models that were examined.

    Returns:
        What is known now.

    Raises:
        OSError: If the file cannot be written.
    """
    baseline = baseline_of(identity for one in examined for identity in _identities(one, one.advice.findings))
    write_text(file, baseline.to_json())
    return baseline


def all_that_was_found(examined: Sequence[Examined]) -> list[Checked]:
    """Each model with all its findings."""
    return [Checked(one.source, one.advice.examination, one.advice.plan) for one in examined]


def new_beside(baseline: Baseline, examined: Sequence[Examined]) -> list[Checked]:
    """Each model with what is new.

    Args:
        baseline: What is known.
        examined: The models that were examined.

    Returns:
        Each model with its new findings, how many are known, and what is known and gone.
    """
    rest, checked = baseline, []
    for one, whole in zip(examined, all_that_was_found(examined), strict=True):
        is_new, rest = new_ones(rest, list(_identities(one, one.advice.findings)))
        findings = tuple(finding for finding, new in zip(one.advice.findings, is_new, strict=True) if new)
        new = replace(whole.examination, findings=findings)
        checked.append(replace(whole, examination=new, known=len(is_new) - len(findings)))
    return [
        replace(whole, gone=no_longer_found(rest, _names(one).model, codes=_ran(one), ignored=_ignored(one)))
        for one, whole in zip(examined, checked, strict=True)
    ]


def _names(one: Examined) -> Names:
    return names_in(one.advice.examination.facts.graph, one.source)


def _identities(one: Examined, findings: Sequence[Finding]) -> Iterator[Identity]:
    return map(_names(one).identity, findings)


def _ignored(one: Examined) -> Iterator[Identity]:
    return _identities(one, one.advice.ignored)


def _ran(one: Examined) -> frozenset[str]:
    silent = {rule.code for rule in one.advice.not_run} | {failure.code for failure in one.advice.failures}
    return one.selected - silent
