"""Words that several reports use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from advisor.rules import Finding
    from advisor.rules.examination import NotRun

_MISSING = {
    "graph": "a model whose layers can be read",
    "batch_size": "the batch size",
    "compile": "a compiled model",
    "data": "training data",
    "samples": "training data that tells its size",
    "training": "the batch size, the steps per epoch or the epochs",
    "steps": "the steps per epoch and the epochs",
    "history": "the history of an earlier run",
    "validation": "validation data",
}


def count(number: int, noun: str) -> str:
    """A number of things.

    Example:
    >>> count(1, "rule"), count(1200, "rule"), count(2, "info")
    ('1 rule', '1,200 rules', '2 info')
    """
    plural = noun if number == 1 or noun == "info" else f"{noun}s"
    return f"{number:,} {plural}"


def unmet_needs(not_run: Iterable[NotRun]) -> list[tuple[str, list[str]]]:
    """What rules lack, in words, and the codes of the rules that lack it."""
    lacking: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for rule in not_run:
        lacking[tuple(rule.missing)].append(rule.code)
    return [(" and ".join(_MISSING[need] for need in missing), codes) for missing, codes in lacking.items()]


def remedy(finding: Finding) -> Iterator[str]:
    """What is to be done about a finding, a sentence each."""
    if finding.fix is not None:
        yield f"Fix ({finding.fix.safety}): {finding.fix.title}"
    if finding.refusal is not None:
        yield f"No fix: {finding.refusal}"
    yield from (f"Training: {change.title}" for change in finding.plan)
