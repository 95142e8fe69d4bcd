"""The race on this machine, one training after the other, in a study of Optuna."""

from __future__ import annotations

import importlib.util
import time
from typing import Any

from advisor.race import records
from advisor.race.engine import Course, Record, Watch
from advisor.race.schedule import walk
from advisor.race.trial import Outcome, OutOfTimeError, Trial, train


class LocalEngine:
    """Trains one candidate after the other.

    Every training is a trial of an Optuna study, and its outcome a file beside it: a race that was killed goes on where
    it was, and loses the training that was running.

    Raises:
        ImportError: If Optuna is not installed.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("optuna") is None:
            raise ImportError(
                "a race needs Optuna, which is not installed: pip install 'keras-normpack[race]'. "
                "Received: engine='local'"
            )

    def run(self, course: Course, watch: Watch) -> Record:
        """Run the race; see `Engine`."""
        from advisor.race.study import RaceStudy, quiet_optuna

        with records.only_race_in(course.directory), quiet_optuna():
            study = RaceStudy(course)
            outcomes: dict[Trial, Outcome] = {}
            interrupted = False
            try:
                _run(course, watch, study, outcomes)
            except KeyboardInterrupt:
                interrupted = True
            return Record(outcomes, interrupted=interrupted, study=study.study)


def _run(course: Course, watch: Watch, study: Any, outcomes: dict[Trial, Outcome]) -> None:
    """Go through the schedule until it or the time is over, and note what comes of each trial."""
    names = [candidate.name for candidate in course.candidates[1:]]
    steps = walk(names, epochs=course.epochs, seeds=course.seeds, budget=course.budget)
    trial = next(steps, None)
    while trial is not None:
        outcome = records.kept(course, trial) if course.resume else None
        if outcome is not None:
            study.take_over(trial, outcome)
        else:
            spent = sum(done.seconds for done in outcomes.values())
            outcome = _train(course, watch, study, trial, spent)
        if outcome is None:
            return
        outcomes[trial] = outcome
        watch.ended(trial, outcome)
        try:
            trial = steps.send(outcome)
        except StopIteration:
            return


def _train(course: Course, watch: Watch, study: Any, trial: Trial, spent: float) -> Outcome | None:
    """Train, and keep what comes of it; None where the time is over before."""
    begun = study.begin(trial)
    started = time.monotonic()

    def on_epoch(epoch: int, score: float) -> None:
        begun.report(score, step=epoch)
        watch.epoch_done(trial, epoch, score)
        limit = course.budget.seconds
        if limit is not None and spent + time.monotonic() - started > limit and epoch < trial.epochs:
            raise OutOfTimeError

    try:
        watch.started(trial)
        outcome = train(
            course.candidate(trial.candidate),
            course.data,
            course.scorer,
            trial.seed,
            trial.epochs,
            on_epoch,
            keep_at=course.model_file(trial) if trial.epochs == course.epochs else None,
        )
        records.keep(course, trial, outcome)
    except OutOfTimeError:
        study.stop(begun, out_of_time=True)
        return None
    except BaseException:
        study.stop(begun, out_of_time=False)
        raise
    study.end(begun, trial, outcome)
    return outcome
