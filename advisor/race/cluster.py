"""The race on a Ray cluster, as many trainings at once as it has workers for."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from advisor.race import records
from advisor.race.engine import Course, Record, Watch
from advisor.race.entries import entries, finalists, has_heats, opening_seeds, trainings_left
from advisor.race.schedule import ORIGINAL, heat_epochs
from advisor.race.trial import Outcome, Trial
from advisor.race.worker import Parcel, pack


class RayEngine:
    """Trains candidates side by side, with Ray Tune.

    The original is trained first, with a seed on every worker, which also tells what a training costs. The challengers
    follow with the first seed, and ASHA stops those that are not in the best third after a third of the epochs. The
    best three and the original are trained with all seeds, so that differences are paired. A training whose machine is
    lost is begun anew on another. The cluster is the one that `RAY_ADDRESS` names or that runs on this machine; where
    there is none, one is started for the time being.

    Raises:
        ImportError: If Ray is not installed.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("ray") is None or importlib.util.find_spec("ray.tune") is None:
            raise ImportError(
                "a race on a cluster needs Ray Tune, which is not installed: pip install 'keras-normpack[ray]'. "
                "Received: engine='ray'"
            )

    def run(self, course: Course, watch: Watch) -> Record:
        """Run the race; see `Engine`."""
        from advisor.race import tuning

        with records.only_race_in(course.directory), tuning.interruptible() as interrupted, tuning.connected():
            race = _Race(course, watch)

            def is_over() -> bool:
                limit = course.budget.seconds
                return interrupted.is_set() or (limit is not None and race.seconds > limit)

            cluster = tuning.Cluster(course, watch, race.parcels, is_over)
            try:
                race.run(cluster, is_over)
            except KeyboardInterrupt:
                interrupted.set()
            return Record(race.outcomes, interrupted.is_set(), race.notes(cluster.recoveries))


class Workers(Protocol):
    """What a race needs of a cluster."""

    @property
    def workers(self) -> int:
        """Trainings that go on at once."""

    def run(self, trials: Sequence[Trial], *, halving: bool) -> dict[Trial, Outcome]:
        """Train, all that fit at once."""


class _Race:
    """The stages of a race, and what is known by now."""

    def __init__(self, course: Course, watch: Watch) -> None:
        self._course, self._watch = course, watch
        self._began = time.monotonic()
        self._stopped = replace(course, directory=course.directory / "stopped")
        self._stopped.directory.mkdir(exist_ok=True)
        self._unsent: dict[str, str] = {}
        self.parcels = self._packed()
        self.outcomes: dict[Trial, Outcome] = {}
        self._seconds_before = self._start = 0.0

    @property
    def seconds(self) -> float:
        """What the race has taken, with what was taken over from an earlier one."""
        return time.monotonic() - self._began + self._seconds_before

    def run(self, cluster: Workers, is_over: Callable[[], bool]) -> None:
        """Go through the stages until they or the budget are over."""
        course, workers = self._course, cluster.workers
        opened = opening_seeds(course.budget, seeds=course.seeds, workers=workers)

        def train(trials: Sequence[Trial], *, halving: bool = False) -> None:
            missing = [trial for trial in trials if not self._takes_over(trial, workers, halving=halving)]
            if missing and not is_over():
                self._take(cluster.run(missing, halving=halving), are_final=not is_over())

        train([self._whole(ORIGINAL, seed) for seed in range(opened)])
        self._start = max(0.0, self.seconds - max((one.seconds for one in self.outcomes.values()), default=0.0))
        names = [candidate.name for candidate in course.candidates[1:]]
        left = self._left(workers, stages=2)
        entered = entries(len(names), epochs=course.epochs, seeds=course.seeds, opened=opened, left=left)
        halving = has_heats(entered.challengers, course.epochs)
        train([self._whole(name, 0) for name in names[: entered.challengers]], halving=halving)
        best = self._best(names)
        left = self._left(workers, stages=1)
        final = finalists(len(best), seeds=entered.seeds, opened=opened, left=left)
        others = (ORIGINAL, *best[: final.challengers])
        train([self._whole(name, seed) for seed in range(final.seeds) for name in others])

    def notes(self, recoveries: int) -> tuple[str, ...]:
        """What to know of the race, a sentence each."""
        notes = []
        if any(trial.epochs < self._course.epochs for trial in self.outcomes):
            notes.append(
                "Trainings that were stopped early have the figures of that epoch. Which are stopped depends on which "
                "come first to it, and can be others in another race; the figures of a training cannot."
            )
        if recoveries:
            notes.append(f"{recoveries} trainings lost their worker and were begun anew on another.")
        return tuple(notes)

    def _whole(self, name: str, seed: int) -> Trial:
        return Trial(name, seed, self._course.epochs)

    def _packed(self) -> dict[str, Parcel]:
        parcels = {}
        for candidate in self._course.candidates:
            try:
                parcels[candidate.name] = pack(candidate)
            except ValueError as error:
                if candidate.name == ORIGINAL:
                    raise
                self._unsent[candidate.name] = str(error)
        return parcels

    def _takes_over(self, trial: Trial, workers: int, *, halving: bool) -> bool:
        """Whether its outcome is known without training."""
        if trial in self.outcomes:
            return True
        known = self._known(trial, halving=halving)
        if known is None:
            return False
        found, outcome = known
        self._seconds_before += outcome.seconds / workers
        self._watch.ended(found, outcome)
        self.outcomes[found] = outcome
        return True

    def _known(self, trial: Trial, *, halving: bool) -> tuple[Trial, Outcome] | None:
        if trial.candidate in self._unsent:
            return trial, Outcome(None, -math.inf, 0, 0.0, failure=self._unsent[trial.candidate])
        if not self._course.resume:
            return None
        whole = records.kept(self._course, trial)
        if whole is not None:
            return trial, whole
        short = trial.over(heat_epochs(self._course.epochs))
        stopped = records.kept(self._stopped, short) if halving else None
        return None if stopped is None else (short, stopped)

    def _take(self, outcomes: Mapping[Trial, Outcome], *, are_final: bool) -> None:
        """Count what came of trainings; of those that went on after the heat, only the whole."""
        for trial, outcome in outcomes.items():
            whole = self._whole(trial.candidate, trial.seed)
            if trial != whole and whole in outcomes:
                continue
            self.outcomes[trial] = outcome
            if trial != whole and are_final:
                records.keep(self._stopped, trial, outcome)

    def _best(self, names: Iterable[str]) -> list[str]:
        """Challengers trained over all epochs, the best first; of equal ones the more promising."""
        found = {name: self.outcomes.get(self._whole(name, 0)) for name in names}
        choices = {name: outcome.choice for name, outcome in found.items() if outcome and outcome.choice > -math.inf}
        return sorted(choices, key=lambda name: -choices[name])

    def _left(self, workers: int, *, stages: int) -> float:
        """Trainings over all epochs that the rest of the budget pays, in so many stages whose workers must start."""
        epochs = self._course.epochs
        whole = [outcome.seconds for trial, outcome in self.outcomes.items() if trial.epochs == epochs]
        return trainings_left(
            self._course.budget,
            spent=sum(trial.epochs / epochs for trial in self.outcomes),
            seconds=self.seconds + stages * self._start,
            price=sum(whole) / len(whole) if whole else 0.0,
            workers=workers,
        )
