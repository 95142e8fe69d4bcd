"""The arms: who decides what is changed about a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import keras
import numpy as np

from advisor import Advice, advise
from advisor.race.candidates import candidates_of
from advisor.race.schedule import ORIGINAL
from advisor.training import TrainingPlan
from benchmarks.advice.menu import NORMS, Draft, changed, menu, with_norm
from benchmarks.advice.tasks import Task
from benchmarks.advice.training import fresh

AS_WRITTEN, STATIC, MEASURED = "as written", "static advice", "measured advice"
RACE, BATCH_NORM, RANDOM, SEARCH = "race", "BN everywhere", "random fixes", "search"
ARMS = (AS_WRITTEN, STATIC, MEASURED, RACE, BATCH_NORM, RANDOM, SEARCH)

RACE_TRAININGS = 10
"""Budget of the race, in trainings over all epochs."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What an arm decided for a task at a batch size.

    Attributes:
        draft: Gives the model to train and its plan, for a seed.
        said: What was decided, as data for the record.
        seconds: How long deciding took.
    """

    draft: Callable[[int], Draft]
    said: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 0.0


def built(task: Task, seed: int) -> Draft:
    """The model as written, with initial values of a seed, and a plan that changes nothing."""
    keras.utils.set_random_seed(seed)
    return Draft(task.model(), TrainingPlan())


def as_written(task: Task) -> Decision:
    """Nothing is changed."""
    return Decision(lambda seed: built(task, seed))


def batch_norm_everywhere(task: Task) -> Decision:
    """What many do without asking."""

    def draft(seed: int) -> Draft:
        written = built(task, seed)
        return Draft(with_norm(written.model, NORMS["batch"]), written.plan)

    return Decision(draft)


def random_fixes(task: Task, count: int) -> Decision:
    """As many changes as the measured advice makes, drawn from the menu, other ones for every seed."""
    dishes = menu(task)

    def chosen(seed: int) -> dict[str, str]:
        generator = np.random.default_rng(seed)
        kinds = generator.choice(sorted(dishes), size=min(count, len(dishes)), replace=False)
        return {str(kind): str(generator.choice(sorted(dishes[kind]))) for kind in kinds}

    return Decision(lambda seed: changed(built(task, seed), task, chosen(seed)), {"count": count})


def static_advice(task: Task, batch_size: int) -> Decision:
    """What the structure of the model and the length of the run say."""
    steps = -(-len(task.parts.train[0]) // batch_size)
    return _advised(lambda: _advice(task, batch_size, steps_per_epoch=steps))


def measured_advice(task: Task, batch_size: int) -> Decision:
    """What `advise` says when it is given the data too."""
    return _advised(lambda: _advice(task, batch_size, data=task.parts.train, validation_data=task.parts.validation))


def raced(task: Task, batch_size: int) -> Decision:
    """What wins the race of the measured advice with its parts and alternatives, the model as written among them."""
    begin = time.perf_counter()
    advice = _advice(task, batch_size, data=task.parts.train, validation_data=task.parts.validation)
    field = {candidate.name: candidate for candidate in candidates_of(advice).candidates}
    rivals = {name: (candidate.model, candidate.plan) for name, candidate in field.items() if name != ORIGINAL}
    result = advice.race(
        task.parts.train, task.parts.validation, budget=f"{RACE_TRAININGS} trials", candidates=rivals, verbose=0
    )
    seconds = time.perf_counter() - begin
    winner = field[result.winner or ORIGINAL]
    draft = Draft(winner.model, winner.plan or TrainingPlan())
    said = {"winner": winner.name, "sentence": result.sentence, "took part": [one.name for one in result.standings]}
    return Decision(lambda seed: fresh(draft, seed), said, round(seconds, 2))


def _advice(task: Task, batch_size: int, **known: object) -> Advice:
    return advise(built(task, 0).model, batch_size=batch_size, epochs=task.epochs_at(batch_size), **known)


def _advised(ask: Callable[[], Advice]) -> Decision:
    begin = time.perf_counter()
    advice = ask()
    rewritten = advice.rewrite()
    seconds = time.perf_counter() - begin
    draft = Draft(rewritten.model, advice.plan)
    fixes = [f"{applied.finding.code}: {applied.finding.fix.title}" for applied in rewritten.applied]
    plans = planned(advice)
    return Decision(
        lambda seed: fresh(draft, seed),
        {
            "fixes": fixes,
            "plan": plans,
            "found": [finding.code for finding in advice.findings],
            "skipped": [f"{skipped.finding.code}: {skipped.reason}" for skipped in rewritten.skipped],
            "not measured": [str(failure) for failure in advice.not_measured],
        },
        round(seconds, 2),
    )


def planned(advice: Advice) -> list[str]:
    """The changes of the training run that the plan carries out, each with the code that asked for it."""
    by_hand = {change.kind for change in advice.plan.by_hand}
    said: dict[str, str] = {}
    for finding in advice.findings:
        for change in finding.plan:
            if change.kind not in by_hand:
                said.setdefault(change.kind, f"{finding.code}: {change.title}")
    return list(said.values())
