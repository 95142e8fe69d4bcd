"""The result of a race for people: a sentence, and a table that fits 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from advisor.race.result import RaceResult


def sentence_of(result: RaceResult) -> str:
    """What a person would say of a race."""
    return f"winner: {result.winner}"


def to_text(result: RaceResult) -> str:
    """The result as plain text."""
    lines = [result.sentence]
    for one in result.standings:
        lines.append(f"{one.name:20} {one.mean:8.2f} {one.spread:6.2f} {one.verdict} {one.difference} {one.rung}")
    return "\n".join(lines)
