"""A race as a study of Optuna: a trial per training, with its score after every epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from advisor.race.engine import Course
from advisor.race.records import identity
from advisor.race.trial import Outcome, Trial

STORAGE = "study.db"


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """No lines of Optuna's own about studies that are made."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


class RaceStudy:
    """The study of a course, in a file of its folder where records are kept, else in memory."""

    def __init__(self, course: Course) -> None:
        self._course = course
        name = _name(course)
        storage = f"sqlite:///{course.directory.absolute() / STORAGE}" if course.keeps_records else None
        if storage and not course.resume and name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
        self._chosen = _Chosen()
        self.study = optuna.create_study(
            storage=storage, study_name=name, sampler=self._chosen, direction="maximize", load_if_exists=True
        )
        for left in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            # Its process was killed.
            self.study.tell(left.number, state=TrialState.FAIL)
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        self._recorded = {trial.user_attrs.get("identity") for trial in done}

    def begin(self, trial: Trial) -> Any:
        """A new running trial of the study."""
        self._chosen.values = _parameters(trial)
        begun = self.study.ask(dict(_distributions(self._course)))
        for name, value in _attributes(self._course, trial).items():
            begun.set_user_attr(name, value)
        return begun

    def end(self, begun: Any, trial: Trial, outcome: Outcome) -> None:
        """The trial has come to its end."""
        for name, value in _results(outcome).items():
            begun.set_user_attr(name, value)
        if outcome.failure:
            self.study.tell(begun, state=TrialState.FAIL)
        else:
            self.study.tell(begun, outcome.choice)
            self._recorded.add(identity(self._course, trial))

    def stop(self, begun: Any, *, out_of_time: bool) -> None:
        """The trial was ended before its time: pruned by the budget, or failed."""
        self.study.tell(begun, state=TrialState.PRUNED if out_of_time else TrialState.FAIL)

    def take_over(self, trial: Trial, outcome: Outcome) -> None:
        """Have a training of an earlier race in the study, too."""
        if identity(self._course, trial) in self._recorded:
            return
        self.study.add_trial(
            optuna.trial.create_trial(
                params=_parameters(trial),
                distributions=dict(_distributions(self._course)),
                value=outcome.choice,
                user_attrs={**_attributes(self._course, trial), **_results(outcome)},
            )
        )
        self._recorded.add(identity(self._course, trial))


class _Chosen(optuna.samplers.BaseSampler):
    """Samples what was chosen: the schedule decides what is trained next."""

    def __init__(self) -> None:
        self.values: Mapping[str, Any] = {}

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        """Nothing is sampled together."""
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """Nothing is sampled together."""
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """The chosen value."""
        return self.values[param_name]


def _name(course: Course) -> str:
    """The model's name, and a hash of what takes part: a study holds one set of candidates."""
    parts = [course.data.fingerprint, *(f"{one.name} {one.fingerprint}" for one in course.candidates)]
    parts += [course.scorer.name, str(course.epochs), str(course.seeds)]
    return f"{course.candidates[0].model.name}-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:8]}"


def _parameters(trial: Trial) -> dict[str, Any]:
    return {"candidate": trial.candidate, "seed": trial.seed, "epochs": trial.epochs}


def _distributions(course: Course) -> Mapping[str, BaseDistribution]:
    return {
        "candidate": CategoricalDistribution([candidate.name for candidate in course.candidates]),
        "seed": IntDistribution(0, max(course.seeds - 1, 1)),
        "epochs": IntDistribution(1, max(course.epochs, 2)),
    }


def _attributes(course: Course, trial: Trial) -> dict[str, Any]:
    candidate = course.candidate(trial.candidate)
    return {
        "title": candidate.title,
        "codes": list(candidate.codes),
        "fingerprint": candidate.fingerprint,
        "data": course.data.fingerprint,
        "identity": identity(course, trial),
    }


def _results(outcome: Outcome) -> dict[str, Any]:
    return {
        "seconds": outcome.seconds,
        "epochs trained": outcome.epochs,
        "score for judging": None if outcome.scores is None else float(outcome.scores.mean()),
        "failure": outcome.failure,
    }
