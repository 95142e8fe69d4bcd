"""Findings that are known and accepted, so that a run reports only new ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from advisor.report.identity import Identity

SCHEMA = "keras-advisor-baseline/1"
"""Name and version of the form of the file."""


@dataclass(frozen=True)
class Baseline:
    """How often each finding is known.

    Attributes:
        counts: Numbers by finding; a rule may say several things of one layer.
    """

    counts: Mapping[Identity, int]

    def to_json(self) -> str:
        """The text of its file: one finding per line, in order, so that changes of it read well."""
        lines = [
            json.dumps({"model": one.model, "code": one.code, "layer": one.layer, "count": count}, ensure_ascii=False)
            for one, count in sorted(self.counts.items())
        ]
        findings = ",\n".join(f"    {line}" for line in lines)
        return f'{{\n  "schema": "{SCHEMA}",\n  "findings": [\n{findings}\n  ]\n}}\n'


def baseline_of(identities: Iterable[Identity]) -> Baseline:
    """The baseline in which those findings are known.

    Args:
        identities: The findings.

    Returns:
        The baseline.

    Example:
    >>> baseline = baseline_of([Identity("net", "N101", "conv"), Identity("net", "N101", "conv")])
    >>> list(baseline.counts.values())
    [2]
    """
    return Baseline(Counter(identities))


def read_baseline(file: Path) -> Baseline:
    """The baseline in a file.

    Args:
        file: A file that `keras-advisor check --write-baseline` wrote.

    Returns:
        The baseline.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no baseline {str(file)!r}; write it with --write-baseline {file}")
    try:
        content = json.loads(file.read_text("utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError(f"the schema {content['schema']!r}")
        counts = {
            Identity(str(entry["model"]), str(entry["code"]), str(entry["layer"])): int(entry["count"])
            for entry in content["findings"]
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{str(file)!r} must be a baseline of the form {SCHEMA!r}; write it anew with --write-baseline {file}. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    return Baseline(counts)


def new_ones(baseline: Baseline, found: Sequence[Identity]) -> tuple[tuple[bool, ...], Baseline]:
    """Which findings of a model are new.

    Args:
        baseline: What is known.
        found: The findings of one model.

    Returns:
        Whether each finding is new, and what of the baseline was not found, for the next model of the run.

    Example:
    >>> known = baseline_of([Identity("net", "N101", "conv"), Identity("net", "D203", "drop")])
    >>> is_new, rest = new_ones(known, [Identity("net", "N101", "conv"), Identity("net", "N101", "other")])
    >>> is_new, [str(one) for one in rest.counts]
    ((False, True), ['D203 drop of net'])
    """
    rest = Counter(baseline.counts)
    is_new = []
    for identity in found:
        is_new.append(rest[identity] < 1)
        rest[identity] -= 1
    return tuple(is_new), Baseline(+rest)


def no_longer_found(
    rest: Baseline, model: str, *, codes: Iterable[str], ignored: Iterable[Identity]
) -> tuple[Identity, ...]:
    """What is known of a model and does not occur any more.

    Args:
        rest: What of the baseline was not found.
        model: Name of the model, as findings have it.
        codes: The rules that ran. Of the others nothing can be said.
        ignored: What was found at layers at which the rule is ignored; it still occurs.

    Returns:
        What is gone, in order.
    """
    ran, silenced = frozenset(codes), frozenset(ignored)
    return tuple(one for one in sorted(rest.counts) if one.model == model and one.code in ran and one not in silenced)
