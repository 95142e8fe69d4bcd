"""A search over the menu with Optuna, for those who would rather try everything."""

from __future__ import annotations

import time
from collections.abc import Mapping

import keras

from benchmarks.advice.arms import Decision, built
from benchmarks.advice.menu import changed, menu
from benchmarks.advice.tasks import Task
from benchmarks.advice.training import train

SEED = 100
"""Seed of the search's trainings; no arm is tested on it."""
NOTHING = "as written"


def search(task: Task, batch_size: int, seconds: float) -> Decision:
    """Choose changes by their points on the validation part, the model as written first.

    Args:
        task: The task.
        batch_size: Samples per step.
        seconds: How long the trainings are to take together; the last one begins before.

    Returns:
        The decision for the best changes found.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dishes = menu(task)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED))
    study.enqueue_trial(dict.fromkeys(dishes, NOTHING))
    spent = 0.0

    def objective(trial: optuna.Trial) -> float:
        nonlocal spent
        names = {kind: trial.suggest_categorical(kind, [NOTHING, *changes]) for kind, changes in dishes.items()}
        keras.backend.clear_session()
        outcome = train(changed(built(task, SEED), task, made(names)), task, batch_size, SEED)
        spent += outcome.seconds
        if spent >= seconds:
            study.stop()
        return outcome.validation

    begin = time.perf_counter()
    study.optimize(objective)
    chosen = made(study.best_params)
    return Decision(
        lambda seed: changed(built(task, seed), task, chosen),
        {
            "chosen": chosen,
            "trainings": len(study.trials),
            "training seconds": round(spent, 1),
            "validation": study.best_value,
        },
        round(time.perf_counter() - begin, 2),
    )


def made(names: Mapping[str, str]) -> dict[str, str]:
    """The choices that change something."""
    return {kind: name for kind, name in names.items() if name != NOTHING}
