"""Latency of two exported models, measured side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from advisor.export.interpret import LiteRTModel

MIN_ROUNDS = 11
MAX_ROUNDS = 301
BUDGET_SECONDS = 1.0


@dataclass(frozen=True)
class Latency:
    """Time of one invocation on one thread.

    Attributes:
        milliseconds: Median of the exported model.
        plain_milliseconds: Median of the plain conversion.
        ratio: Median over the rounds of the exported model's time by the plain conversion's, run side by side.
    """

    milliseconds: float
    plain_milliseconds: float
    ratio: float


def compare_latency(exported: LiteRTModel, plain: LiteRTModel, batch: Mapping[str, np.ndarray]) -> Latency:
    """Times two models in turn, so that a busy moment of the machine falls on both.

    Args:
        exported: The model, loaded with one thread.
        plain: The one to compare it with.
        batch: The inputs of one invocation; both models take the same.

    Returns:
        The medians and their ratio.
    """
    pair = (exported, plain)
    for model in pair:
        model.feed(batch)
        model.invoke()
    seconds: tuple[list[float], list[float]] = ([], [])
    deadline = time.perf_counter() + BUDGET_SECONDS
    for number in range(MAX_ROUNDS):
        if number >= MIN_ROUNDS and time.perf_counter() > deadline:
            break
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            begin = time.perf_counter()
            pair[which].invoke()
            seconds[which].append(time.perf_counter() - begin)
    return Latency(
        milliseconds=1e3 * statistics.median(seconds[0]),
        plain_milliseconds=1e3 * statistics.median(seconds[1]),
        ratio=statistics.median(a / b for a, b in zip(*seconds, strict=True)),
    )
