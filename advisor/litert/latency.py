"""Latency of models in LiteRT, measured side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import numpy as np

from advisor.litert.interpreter import LiteRTModel

MIN_ROUNDS = 11
MAX_ROUNDS = 301


def interleaved_seconds(
    models: Mapping[str, LiteRTModel],
    feeds: Mapping[str, np.ndarray],
    *,
    budget_seconds: float,
    max_rounds: int = MAX_ROUNDS,
) -> dict[str, list[float]]:
    """Times models in turn, so that a busy moment of the machine falls on all of them.

    Args:
        models: The models, by name; all take the same inputs.
        feeds: The inputs of one invocation.
        budget_seconds: After about so many seconds, and at least 11 rounds, it stops.
        max_rounds: It stops after so many rounds, too.

    Returns:
        Seconds of every round, by name; the n-th entries of all lists were measured side by side.
    """
    for model in models.values():
        model.feed(feeds)
        model.invoke()
    names = list(models)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    deadline = time.perf_counter() + budget_seconds
    for number in range(max_rounds):
        if number >= MIN_ROUNDS and time.perf_counter() > deadline:
            break
        first = number % len(names)
        for name in names[first:] + names[:first]:
            begin = time.perf_counter()
            models[name].invoke()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def median_milliseconds(seconds: list[float]) -> float:
    """Median of measured seconds, in milliseconds."""
    return 1e3 * statistics.median(seconds)


def median_ratio(numerator: list[float], denominator: list[float]) -> float:
    """Median over the rounds of one model's time by another's, run side by side."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))
