"""The choice of a learning rate for an arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.claims.claim import Run

TUNING_SEED = 1000
"""Seed of the trainings a learning rate is chosen on; no result is reported of it."""


def best_rate(run: Run, measure: Callable[..., Any], rates: Sequence[float], **settings: Any) -> float:
    """The learning rate with the best validation accuracy on `TUNING_SEED`.

    Args:
        run: Keeps the trainings.
        measure: Trains an arm; takes `rate`, `seed` and the settings, and gives `validation`.
        rates: What to choose from.
        settings: What else it takes.

    Returns:
        The rate.
    """
    found = {rate: run.cell(measure, rate=rate, seed=TUNING_SEED, **settings)["validation"] for rate in rates}
    return max(found, key=lambda rate: found[rate])
