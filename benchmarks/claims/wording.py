"""Figures in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.race.statistics import Interval, interval, paired_difference


def points(difference: Interval) -> str:
    """A difference in percentage points: `+3.2 ± 0.7 points`."""
    return f"{difference.mean:+.1f} ± {difference.half_width:.1f} points"


def compared(our_name: str, ours: Sequence[float], their_name: str, theirs: Sequence[float]) -> str:
    """Two arms in percent: `LN 91.2 %, BN 88.0 %: +3.2 ± 0.7 points over 5 seeds`."""
    difference = points(paired_difference(ours, theirs))
    means = f"{our_name} {interval(ours).mean:.1f} %, {their_name} {interval(theirs).mean:.1f} %"
    return f"{means}: {difference} over {len(ours)} seeds"
