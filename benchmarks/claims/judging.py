"""From intervals to verdicts."""

from __future__ import annotations

from collections.abc import Iterable

from advisor.race.statistics import Interval
from benchmarks.claims.claim import Verdict

Answer = bool | None


def is_above_zero(difference: Interval, matters: float = 0.0) -> Answer:
    """Whether a difference is positive.

    Args:
        difference: The difference.
        matters: A difference that is surely less than this is as good as none.

    Returns:
        True when the interval lies above zero, False when it lies below `matters`, None when it cannot be told.
    """
    if difference.low > 0:
        return True
    return False if difference.high <= matters else None


def all_of(answers: Iterable[Answer]) -> Verdict:
    """The verdict on a claim that holds if all of its parts do."""
    found = list(answers)
    if False in found:
        return Verdict.FAILS
    return Verdict.UNDECIDED if None in found else Verdict.HOLDS
