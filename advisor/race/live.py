"""A race on the terminal while it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from advisor.race.engine import Course, Watch
from advisor.race.trial import Outcome, Trial


class Silence:
    """Shows nothing."""

    def started(self, trial: Trial) -> None:
        """Says nothing."""

    def epoch_done(self, trial: Trial, epoch: int, score: float) -> None:
        """Says nothing."""

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        """Says nothing."""


@contextmanager
def watching(course: Course, verbose: int | str) -> Iterator[Watch]:
    """What shows a race, while it goes on."""
    yield Silence()
