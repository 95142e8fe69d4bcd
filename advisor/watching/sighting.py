"""A finding of a run that goes on."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from advisor.rules import Finding
from advisor.rules.wording import named

_WIDTH = 100
_FIGURES = re.compile(r"[-+]?\d[\d,.]*(e[-+]?\d+)?%?|nan|inf")


@dataclass(frozen=True)
class Sighting:
    """What was found while a model trained, and when.

    Attributes:
        finding: What was found, as `advise` would say it.
        epoch: The epoch in which or after which it was found, counted from 1; 0 before the first.
        step: Training steps that were done by then.
    """

    finding: Finding
    epoch: int
    step: int

    @property
    def topic(self) -> tuple[str, tuple[str, ...], str]:
        """What it is about, without its figures: of one topic a user hears once."""
        subject = self.finding.message.partition(": ")[0]
        return self.finding.code, self.finding.layers, _FIGURES.sub("#", subject)

    def __str__(self) -> str:
        return as_text([self])


def alike(sightings: Iterable[Sighting]) -> list[list[Sighting]]:
    """Those that say the same of several layers, together."""
    groups: dict[tuple[str, str], list[Sighting]] = {}
    for sighting in sightings:
        groups.setdefault((sighting.finding.code, sighting.finding.why), []).append(sighting)
    return list(groups.values())


def as_text(same: Sequence[Sighting]) -> str:
    """What sightings that are alike say: the first in full, of the others where."""
    first = same[0]
    finding = first.finding
    when = f"Epoch {first.epoch}" if first.step else "Before training"
    told = _wrapped(f"{when}: {finding.code} {finding.name} ({finding.severity}): {finding.message}.", "")
    if len(same) > 1:
        told += _wrapped(f"So it is in {named([path for other in same[1:] for path in other.finding.layers])}.", "    ")
    told += _wrapped(finding.why, "    ")
    for change in (*((finding.fix,) if finding.fix else ()), *finding.plan):
        told += _wrapped(f"→ {change.title}", "    ")
    return "\n".join(told)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent="    ", break_long_words=False)
