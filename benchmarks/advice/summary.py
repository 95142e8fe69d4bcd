"""The figures: what the arms gained in each cell, and whether the goals are met."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from advisor.race.statistics import Interval, difference_of_scores
from benchmarks.advice import arms as arm
from benchmarks.advice.cells import Record

Share = tuple[int, int]
"""So many of so many."""


@dataclass(frozen=True)
class Goal:
    """A goal and how far it is met.

    Attributes:
        name: What it is about.
        aim: The goal, in words.
        reached: The figure with its interval, in words.
        is_met: Whether the figure reaches the goal.
    """

    name: str
    aim: str
    reached: str
    is_met: bool


def points(record: Record, name: str) -> np.ndarray:
    """Points of an arm in a cell: one per seed."""
    return np.array([outcome["points"] for _, outcome in sorted(record["arms"][name]["outcomes"].items())])


def difference(record: Record, ours: str, theirs: str = arm.AS_WRITTEN) -> Interval:
    """How many points an arm is ahead of another, over seeds and groups of test samples."""
    return difference_of_scores(_groups(record, ours), _groups(record, theirs))


def has(record: Record, *names: str) -> bool:
    """Whether arms were measured in a cell, all of them for all seeds of the model as written."""
    seeds = record["arms"].get(arm.AS_WRITTEN, {}).get("outcomes", {}).keys()
    return bool(seeds) and all(record["arms"].get(name, {}).get("outcomes", {}).keys() == seeds for name in names)


def goals(records: Sequence[Record]) -> list[Goal]:
    """The goals that the cells measured so far can speak about."""
    found = []
    advised = [record for record in records if has(record, arm.MEASURED)]
    if advised:
        found += [_no_harm(advised), _gain(advised)]
    searched = [record for record in advised if has(record, arm.SEARCH)]
    if searched:
        found += [_regret(searched), _compute(searched)]
    rivalled = [record for record in advised if has(record, arm.RANDOM)]
    if rivalled:
        found.append(_beats_random(rivalled))
    return found


def median_with_interval(values: Sequence[float]) -> Interval:
    """The median with the 95 % interval of 2,000 bootstrap samples of the cells, the wider side counting."""
    generator = np.random.default_rng(0)
    array = np.asarray(values)
    medians = np.median(generator.choice(array, (2000, len(array))), axis=1)
    middle = float(np.median(array))
    low, high = np.quantile(medians, (0.025, 0.975))
    return Interval(middle, float(max(middle - low, high - middle)), len(array))


def share_with_interval(share: Share) -> str:
    """A share with its 95 % interval by Wilson's score: `43 of 45 (96 %, 85 to 99 %)`."""
    count, total = share
    z, ratio = 1.959964, count / total
    center = (ratio + z * z / (2 * total)) / (1 + z * z / total)
    spread = z / (1 + z * z / total) * math.sqrt(ratio * (1 - ratio) / total + z * z / (4 * total * total))
    return f"{count} of {total} ({ratio:.0%}, {max(0.0, center - spread):.0%} to {min(1.0, center + spread):.0%})"


def counted(records: Sequence[Record], holds: Callable[[Record], bool]) -> Share:
    """In how many of the cells something holds."""
    return sum(map(holds, records)), len(records)


def compute_share(record: Record) -> float:
    """What the measured advice costs, one training included, for each second that the search trains."""
    measured = record["arms"][arm.MEASURED]
    training = statistics.fmean(outcome["seconds"] for outcome in measured["outcomes"].values())
    return (measured["seconds"] + training) / record["arms"][arm.SEARCH]["said"]["training seconds"]


def _groups(record: Record, name: str) -> np.ndarray:
    outcomes = record["arms"][name]["outcomes"]
    return np.array([[float(group) for group in outcomes[seed]["groups"].split()] for seed in sorted(outcomes)])


def _no_harm(records: Sequence[Record]) -> Goal:
    share = counted(records, lambda record: difference(record, arm.MEASURED).high >= 0)
    return Goal(
        "No harm",
        "not worse than as written, beyond the interval, in at least 98 % of cells",
        share_with_interval(share),
        share[0] >= 0.98 * share[1],
    )


def _gain(records: Sequence[Record]) -> Goal:
    gains = [difference(record, arm.MEASURED) for record in records]
    better = counted(records, lambda record: difference(record, arm.MEASURED).mean > 0)
    sure = sum(gain.low > 0 for gain in gains)
    median = median_with_interval([gain.mean for gain in gains])
    return Goal(
        "Gain",
        "better than as written in at least 60 % of cells",
        f"{share_with_interval(better)}, beyond the interval in {sure}; median gain {median.mean:.1f} ± "
        f"{median.half_width:.1f} points",
        better[0] >= 0.6 * better[1],
    )


def _regret(records: Sequence[Record]) -> Goal:
    regret = median_with_interval([difference(record, arm.SEARCH, arm.MEASURED).mean for record in records])
    return Goal(
        "Regret",
        "median of at most 0.5 points against what a search over the menu finds",
        f"{regret.mean:.1f} ± {regret.half_width:.1f} points",
        regret.mean <= 0.5,
    )


def _compute(records: Sequence[Record]) -> Goal:
    shares = [compute_share(record) for record in records]
    return Goal(
        "Compute",
        "at most 10 % of the search's",
        f"median {statistics.median(shares):.1%}, largest {max(shares):.1%}",
        max(shares) <= 0.1,
    )


def _beats_random(records: Sequence[Record]) -> Goal:
    differing = [
        record
        for record in records
        if difference(record, arm.MEASURED).excludes_zero or difference(record, arm.RANDOM).excludes_zero
    ]
    if not differing:
        return Goal("Beats random fixes", "in at least 90 % of cells where either differs", "no cell differs", False)
    share = counted(differing, lambda record: difference(record, arm.MEASURED, arm.RANDOM).mean > 0)
    return Goal(
        "Beats random fixes",
        "in at least 90 % of cells where either differs from as written",
        share_with_interval(share),
        share[0] >= 0.9 * share[1],
    )
