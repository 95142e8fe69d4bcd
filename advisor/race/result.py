"""What a race found out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from advisor.race.candidate import Candidate
from advisor.race.schedule import ORIGINAL
from advisor.race.statistics import Interval, difference_of_scores, interval
from advisor.race.trial import Outcome, Trial

Verdict = Literal["better", "worse", "no measurable difference", "not in the final", "did not train"]

RUNGS = ("heats", "semifinal", "final")


@dataclass(frozen=True)
class Standing:
    """How a candidate did.

    Attributes:
        name: The candidate's name; `original` is the model as it was written.
        title: What a person would call it.
        codes: Codes of the findings it rests on.
        mean: Mean over seeds: points, or the loss; NaN where it did not train.
        spread: Standard deviation over seeds; 0 for a single one.
        values: One value per seed, in the order of the seeds.
        difference: By how much it is better than the original, with its 95 % interval: in points, or in percent of the
            original's loss; None for the original, and where either did not train.
        verdict: What the interval supports; None for the original. Nothing is claimed outside the final.
        rung: How far it got: `heats`, `semifinal` or `final`.
        epochs: Epochs it ran, over all seeds.
        seconds: What its trainings took.
        failure: Why it did not train, or None.
    """

    name: str
    title: str
    codes: tuple[str, ...]
    mean: float
    spread: float
    values: tuple[float, ...]
    difference: Interval | None
    verdict: Verdict | None
    rung: str
    epochs: int
    seconds: float
    failure: str | None = None

    @property
    def level(self) -> Interval | None:
        """The mean over seeds with its 95 % interval; None where it did not train."""
        return None if self.failure or not self.values else interval(self.values)


@dataclass(frozen=True)
class LeftOut:
    """A candidate that did not take part, and why."""

    name: str
    title: str
    reason: str


@dataclass(frozen=True, eq=False)
class RaceResult:
    """What a race found out.

    Attributes:
        standings: The candidates that took part, best first: finalists, then those that got less far.
        left_out: Those that did not take part, and why.
        metric: What was scored: `accuracy` and its kin, or `loss`.
        counts_right_answers: Whether figures are points of right answers; else they are losses, differences percent.
        samples: Validation samples that the figures rest on.
        seeds: Seeds of the final.
        epochs: Epochs of a whole training.
        budget: What the race could cost, as text.
        seconds: What it took, with what was taken over from an earlier run.
        notes: What else to know, a sentence each.
        interrupted: Whether it was ended before its time; the standings are what was known by then.
        winner: Name of the candidate with the best mean in the final, or None where nothing trained.
        model: The winner's trained model, of its best seed; None where there is none.
        study: The Optuna study of a local race, else None.
    """

    standings: tuple[Standing, ...]
    left_out: tuple[LeftOut, ...]
    metric: str
    counts_right_answers: bool
    samples: int
    seeds: int
    epochs: int
    budget: str
    seconds: float
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    winner: str | None = None
    model: Any = field(default=None, repr=False)
    study: Any = field(default=None, repr=False)

    @property
    def sentence(self) -> str:
        """What a person would say of it."""
        from advisor.race.wording import sentence_of

        return sentence_of(self)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data; what is not finite, such as the interval of a single seed, is None."""
        left_out = ("standings", "left_out", "model", "study")
        plain = {name: value for name, value in vars(self).items() if name not in left_out}
        return _finite(
            {
                "schema": "keras-advisor-race/1",
                "sentence": self.sentence,
                **plain,
                "standings": [asdict(standing) for standing in self.standings],
                "left_out": [asdict(one) for one in self.left_out],
            }
        )

    def to_json(self, indent: int | None = 2) -> str:
        """The result as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def __str__(self) -> str:
        from advisor.race.wording import to_text

        return to_text(self)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def standings_of(
    candidates: Sequence[Candidate],
    outcomes: Mapping[Trial, Outcome],
    *,
    epochs: int,
    seeds: int,
    counts_right_answers: bool,
) -> tuple[Standing, ...]:
    """Rank what took part.

    The final is what was trained over all epochs with the most seeds, and the original with the same ones. Only there
    is anything compared. The others follow by how far they got, then what did not train.

    Args:
        candidates: All candidates, the original among them.
        outcomes: What came of each trial.
        epochs: Epochs of a whole training.
        seeds: Seeds that the final was to have.
        counts_right_answers: As `RaceResult` has it.

    Returns:
        The standings, best first; of equal ones the first candidate first.
    """
    unit = _Unit(counts_right_answers)
    trials = {candidate.name: _of(candidate.name, outcomes) for candidate in candidates}
    whole = {name: {t.seed: o for t, o in run.items() if t.epochs == epochs} for name, run in trials.items()}
    shared = {name: frozenset(runs.keys() & whole[ORIGINAL].keys()) for name, runs in whole.items()}
    most = max((len(shared[name]) for name in shared if name != ORIGINAL), default=0)
    in_final = [name for name in shared if len(shared[name]) == most > 0 and name != ORIGINAL]
    common = sorted(frozenset.intersection(shared[ORIGINAL], *(shared[name] for name in in_final)))
    title = "final" if most > 1 or seeds == 1 else "semifinal"
    reference = _scores(whole[ORIGINAL], common)
    standings = []
    for candidate in candidates:
        runs, name = trials[candidate.name], candidate.name
        if not runs:
            continue
        is_compared = name == ORIGINAL or name in in_final
        counted = [whole[name][seed] for seed in common] if is_compared and common else _furthest(runs)
        ours = _scores(whole[name], common) if is_compared else None
        difference = None
        if name != ORIGINAL and ours is not None and reference is not None:
            difference = unit.difference(ours, reference)
        failure = _failure(runs)
        values = tuple(unit.value(outcome) for outcome in counted)
        standings.append(
            Standing(
                name=name,
                title=candidate.title,
                codes=candidate.codes,
                mean=math.nan if failure else float(np.mean(values)),
                spread=float(np.std(values, ddof=1)) if len(values) > 1 and not failure else 0.0,
                values=values,
                difference=None if failure else difference,
                verdict=_verdict(name, failure, is_compared, difference),
                rung=title if is_compared else RUNGS[1 if whole[name] else 0],
                epochs=sum(outcome.epochs for outcome in runs.values()),
                seconds=sum(outcome.seconds for outcome in runs.values()),
                failure=failure,
            )
        )
    return tuple(sorted(standings, key=lambda one: (_place(one), -unit.sign * (0.0 if one.failure else one.mean))))


def winner_of(standings: Sequence[Standing]) -> Standing | None:
    """The best of the final, or of the semifinal where there was none; None where nothing trained."""
    return standings[0] if standings and standings[0].failure is None else None


@dataclass(frozen=True)
class _Unit:
    """How scores are told: right answers in points, losses as they are and their differences in percent."""

    counts_right_answers: bool

    @property
    def sign(self) -> int:
        return 1 if self.counts_right_answers else -1

    def value(self, outcome: Outcome) -> float:
        if outcome.scores is None:
            return math.nan
        mean = float(outcome.scores.mean())
        return 100 * mean if self.counts_right_answers else -mean

    def difference(self, ours: np.ndarray, theirs: np.ndarray) -> Interval:
        found = difference_of_scores(ours, theirs)
        reference = 1.0 if self.counts_right_answers else abs(float(theirs.mean())) or 1.0
        factor = 100 / reference
        return Interval(found.mean * factor, found.half_width * factor, found.count)


def _of(name: str, outcomes: Mapping[Trial, Outcome]) -> dict[Trial, Outcome]:
    return {trial: outcome for trial, outcome in sorted(outcomes.items()) if trial.candidate == name}


def _furthest(runs: Mapping[Trial, Outcome]) -> list[Outcome]:
    longest = max(trial.epochs for trial in runs)
    return [outcome for trial, outcome in runs.items() if trial.epochs == longest]


def _scores(runs: Mapping[int, Outcome], seeds: Sequence[int]) -> np.ndarray | None:
    """Scores of shape `(seeds, samples)`; None where there are none."""
    rows = [runs[seed].scores for seed in seeds]
    found = [row for row in rows if row is not None]
    return np.stack(found) if found and len(found) == len(rows) else None


def _failure(runs: Mapping[Trial, Outcome]) -> str | None:
    return next((f"{o.failure}, with seed {trial.seed}" for trial, o in runs.items() if o.failure), None)


def _verdict(name: str, failure: str | None, is_compared: bool, difference: Interval | None) -> Verdict | None:
    if failure:
        return "did not train"
    if name == ORIGINAL:
        return None
    if not is_compared:
        return "not in the final"
    if difference is None:
        return None
    if not difference.excludes_zero:
        return "no measurable difference"
    return "better" if difference.mean > 0 else "worse"


def _place(standing: Standing) -> int:
    return len(RUNGS) if standing.failure else len(RUNGS) - 1 - RUNGS.index(standing.rung)
