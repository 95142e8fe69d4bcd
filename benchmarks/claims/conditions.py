"""One verdict out of several conditions, and figures in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from advisor.race.statistics import Interval
from benchmarks.claims.claim import Verdict


def verdict_of(advantages: Mapping[str, Interval]) -> tuple[Verdict, list[str]]:
    """One verdict for a claim that was tried under several conditions.

    Under a condition it holds where the interval of the advantage lies above 0. It fails where it lies below 0 under
    some condition and above under none, and is undecided where no interval excludes 0.

    Args:
        advantages: By condition, the difference that the claim says is above 0.

    Returns:
        The verdict, and the conditions under which the claim holds.
    """
    holding = [condition for condition, advantage in advantages.items() if advantage.low > 0]
    if len(holding) == len(advantages):
        return Verdict.HOLDS, holding
    if holding:
        return Verdict.HOLDS_WHEN, holding
    if any(advantage.high < 0 for advantage in advantages.values()):
        return Verdict.FAILS, holding
    return Verdict.UNDECIDED, holding


def with_interval(found: Interval, unit: str = "", digits: int = 1, *, signed: bool = False) -> str:
    """Such as `+3.2 ± 0.7 points`."""
    # A difference too small for its digits has no sign.
    mean = round(found.mean, digits) + 0.0
    return f"{mean:{'+' if signed else ''}.{digits}f} ± {found.half_width:.{digits}f}{unit and ' ' + unit}"


def listed(words: Sequence[str]) -> str:
    """Such as `a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
