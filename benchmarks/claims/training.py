"""The choice of a learning rate for an arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.claims.claim import Run

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
