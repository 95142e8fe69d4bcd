"""Arms at the learning rate that suits each, which falls along a cosine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np

from benchmarks.claims.claim import Figures, Run

TUNING_SEED = 1000
"""Seed of the trainings a learning rate is chosen on, and the first of several; no result is reported of it."""


def best_rate(
    run: Run, measure: Callable[..., Any], rates: Sequence[float], trainings: int = 1, **settings: Any
) -> float:
    """The learning rate with the best validation accuracy, on seeds of its own.

    Args:
        run: Keeps the trainings.
        measure: Trains an arm; takes `rate`, `seed` and the settings, and gives `validation`.
        rates: What to choose from.
        trainings: Trainings at each rate, from `TUNING_SEED` on, whose mean counts.
        settings: What else it takes.

    Returns:
        The rate.
    """
    seeds = range(TUNING_SEED, TUNING_SEED + trainings)

    def validation(rate: float) -> float:
        return float(np.mean([run.cell(measure, rate=rate, seed=seed, **settings)["validation"] for seed in seeds]))

    return max(rates, key=validation)


def at_best_rates(
    run: Run, measure: Callable[..., Any], arms: Iterable[str], rates: Sequence[float], **settings: Any
) -> Figures:
    """Test accuracies of every arm, each at its best rate.

    Args:
        run: Keeps the trainings, and says with which seeds.
        measure: Trains an arm; takes `arm`, `rate`, `seed` and the settings, and gives `validation` and `test`.
        arms: The arms.
        rates: What to choose from.
        settings: What else it takes.

    Returns:
        The rates by arm, and the accuracies by arm, one per seed.
    """
    best = {arm: best_rate(run, measure, rates, arm=arm, **settings) for arm in arms}
    accuracy = {
        arm: [run.cell(measure, arm=arm, rate=rate, seed=seed, **settings)["test"] for seed in run.seeds]
        for arm, rate in best.items()
    }
    return {"rates": best, "accuracy": accuracy}


def compiled_with_cosine(model: keras.Model, rate: float, steps: int) -> keras.Model:
    """A classifier that ends in logits, compiled with Adam whose rate falls along a cosine over the steps."""
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, steps_per_execution=20, jit_compile=False)
    return model
