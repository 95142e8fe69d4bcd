"""The race on this machine, one training after the other."""

from __future__ import annotations

from advisor.race.engine import Course, Record, Watch
from advisor.race.schedule import walk
from advisor.race.trial import Outcome, OutOfTimeError, Trial, train


class LocalEngine:
    """Trains one candidate after the other."""

    def run(self, course: Course, watch: Watch) -> Record:
        outcomes: dict[Trial, Outcome] = {}
        steps = walk(
            [candidate.name for candidate in course.candidates[1:]],
            epochs=course.epochs,
            seeds=course.seeds,
            budget=course.budget,
        )
        try:
            trial = next(steps)
            while True:
                watch.started(trial)
                outcomes[trial] = self._train(course, trial, watch)
                watch.ended(trial, outcomes[trial])
                trial = steps.send(outcomes[trial])
        except (StopIteration, OutOfTimeError):
            return Record(outcomes)
        except KeyboardInterrupt:
            return Record(outcomes, interrupted=True)

    def _train(self, course: Course, trial: Trial, watch: Watch) -> Outcome:
        return train(
            course.candidate(trial.candidate),
            course.data,
            course.scorer,
            trial.seed,
            trial.epochs,
            lambda epoch, score: watch.epoch_done(trial, epoch, score),
            keep_at=course.model_file(trial) if trial.epochs == course.epochs else None,
        )
