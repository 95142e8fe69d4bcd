"""A race on the terminal while it goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from advisor.race.engine import Course, Watch
from advisor.race.trial import Outcome, Trial
from advisor.race.wording import duration


@contextmanager
def watching(course: Course, verbose: int | str) -> Iterator[Watch]:
    """What shows a race, while it goes on.

    Args:
        course: The race.
        verbose: 0 for nothing, 1 or 2 for the race, `"auto"` for it on a terminal only.

    Yields:
        The watch.
    """
    if verbose == 0 or (verbose == "auto" and not sys.stderr.isatty()):
        yield Silence()
        return
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[tells]}"),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        yield Display(course, progress)


class Silence:
    """Shows nothing."""

    def started(self, trial: Trial) -> None:
        """Says nothing."""

    def epoch_done(self, trial: Trial, epoch: int, score: float) -> None:
        """Says nothing."""

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        """Says nothing."""


class Display:
    """A line for every training that ended, a bar for those that run, and one for the race."""

    def __init__(self, course: Course, progress: Progress) -> None:
        self._course, self._progress = course, progress
        self._began = time.monotonic()
        self._trainings = 0.0
        self._best: tuple[float, str] | None = None
        self._running: dict[Trial, TaskID] = {}
        self._whole = progress.add_task("race", total=1.0, tells="")

    def started(self, trial: Trial) -> None:
        """A bar for the training."""
        description = f"{trial.candidate}, seed {trial.seed}"
        self._running[trial] = self._progress.add_task(description, total=trial.epochs, tells="")

    def epoch_done(self, trial: Trial, epoch: int, score: float) -> None:
        """The bar moves, and shows the score."""
        tells = f"epoch {epoch} of {trial.epochs}, {self._told(score)}"
        self._progress.update(self._running[trial], completed=epoch, tells=tells)
        self._trainings += 1 / self._course.epochs
        self._move()

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        """A line of how it went."""
        went = f"did not train: {outcome.failure}" if outcome.failure else self._told(outcome.choice)
        if trial in self._running:
            self._progress.remove_task(self._running.pop(trial))
            # Early stopping saves epochs that count as spent.
            self._trainings += (trial.epochs - outcome.epochs) / self._course.epochs
            took = duration(outcome.seconds)
        else:
            self._trainings += trial.epochs / self._course.epochs
            self._began -= outcome.seconds
            took = "done before"
        self._progress.console.print(
            f"{trial.candidate}, seed {trial.seed}, {trial.epochs} epochs: {went} ({took})", highlight=False
        )
        is_whole = trial.epochs == self._course.epochs and not outcome.failure
        if is_whole and (self._best is None or outcome.choice > self._best[0]):
            self._best = (outcome.choice, trial.candidate)
        self._move()

    def _move(self) -> None:
        elapsed = time.monotonic() - self._began
        budget = self._course.budget
        share = elapsed / budget.seconds if budget.seconds else self._trainings / (budget.trials or 1.0)
        left = max(0.0, elapsed / share - elapsed) if share else 0.0
        best = f", best so far {self._best[1]} with {self._told(self._best[0])}" if self._best else ""
        self._progress.update(self._whole, completed=min(share, 1.0), tells=f"{duration(left)} left at most{best}")

    def _told(self, score: float) -> str:
        scorer = self._course.scorer
        return f"{scorer.name} {score:.1%}" if scorer.counts_right_answers else f"loss {-score:.4g}"
