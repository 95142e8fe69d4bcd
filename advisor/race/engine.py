"""What an engine is: it trains the candidates of a course under the budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from advisor.race.candidate import Candidate
from advisor.race.data import RaceData
from advisor.race.schedule import Budget
from advisor.race.scoring import Scorer
from advisor.race.trial import Outcome, Trial


@dataclass(frozen=True, eq=False)
class Course:
    """All that a race is about.

    Attributes:
        candidates: The original first, then its challengers, the most promising first; names and fingerprints differ.
        data: What they are trained, chosen and judged on.
        scorer: How they are scored.
        epochs: Epochs of a whole training.
        seeds: Seeds of the final: 0, 1, ….
        budget: What the race may cost.
        directory: Where trained models and records lie; it exists.
        keeps_records: Whether they are to outlive the race.
        resume: Whether outcomes of an earlier race in the same place count.
    """

    candidates: tuple[Candidate, ...]
    data: RaceData
    scorer: Scorer
    epochs: int
    seeds: int
    budget: Budget
    directory: Path
    keeps_records: bool = True
    resume: bool = True

    def candidate(self, name: str) -> Candidate:
        """The candidate of that name."""
        return next(candidate for candidate in self.candidates if candidate.name == name)

    def model_file(self, trial: Trial) -> Path:
        """Where the model of a training over all epochs is kept."""
        fingerprint = self.candidate(trial.candidate).fingerprint[:8]
        return self.directory / "models" / f"{trial.candidate}-{fingerprint}-seed{trial.seed}.keras"


@dataclass(frozen=True, eq=False)
class Record:
    """What an engine found out.

    Attributes:
        outcomes: What came of each trial, as far as it was trained to its end.
        interrupted: Whether the user ended the race.
        notes: What a user should know, a sentence each.
        study: The Optuna study, of the engine that has one.
    """

    outcomes: Mapping[Trial, Outcome]
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    study: Any = field(default=None, repr=False)


class Watch(Protocol):
    """Sees a race going on; several trials may go on at once."""

    def started(self, trial: Trial) -> None:
        """A training has begun."""

    def epoch_done(self, trial: Trial, epoch: int, score: float) -> None:
        """An epoch is over; the score is the mean on the samples for choosing."""

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        """A training has ended, or was found done in an earlier race."""


class Engine(Protocol):
    """Trains candidates under a budget.

    A `KeyboardInterrupt` ends the race with what is known; it does not leave `run`.
    """

    def run(self, course: Course, watch: Watch) -> Record:
        """Run the race."""
