"""One look at a model that trains: the rules over what is known and measured of it at that moment."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from advisor.facts import DataFacts, Facts, Measurement, TrainingFacts, gather_facts
from advisor.facts.probes import ProbeFailure, make_probes
from advisor.graph import ModelGraph
from advisor.rules import Finding, Rule
from advisor.rules.examination import Examination, examine

WATCHED = ("N112", "T503", "T505", "T506")
"""The rules about what changes while a model trains."""

FIRST_STEPS = ("gradient_norm", "gradient_norm_later", "loss_after_steps")
WHILE_IT_TRAINS = ("statistics_lag", "dead_share", "saturated_share", "activation_mean", "activation_deviation")
"""What the other probes measure does not change in training, or needs weights that have not been trained."""


@dataclass(frozen=True, eq=False)
class Look:
    """What a look showed.

    Attributes:
        examination: What the rules said, and which of them crashed.
        not_measured: Probes in which the model did not run.
    """

    examination: Examination
    not_measured: Sequence[ProbeFailure]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found."""
        return self.examination.findings

    @property
    def failures(self) -> list[str]:
        """What went wrong in it, a sentence each."""
        crashed = [f"the rule {failure.code} failed: {failure.error}" for failure in self.examination.failures]
        return crashed + [f"`{failure.probe}` was not measured: {failure.error}" for failure in self.not_measured]

    @cached_property
    def measurements(self) -> Mapping[tuple[str, str], Measurement]:
        """All that was measured, by probe and path."""
        facts = self.examination.facts
        paths = ("", *facts.layers)
        with _random_numbers_apart():
            taken = {(name, path): facts.measure(name, path) for name in facts.probes for path in paths}
        return {key: measurement for key, measurement in taken.items() if measurement is not None}


def look(
    graph: ModelGraph,
    data: DataFacts | None,
    training: TrainingFacts,
    rules: Sequence[Rule],
    *,
    probes: Sequence[str],
    seconds: float,
) -> Look:
    """Look at a model; it stays as it is, and so do the random numbers that are drawn after it.

    Args:
        graph: The model's graph.
        data: Samples to run, or None to go without.
        training: The run, and its metrics so far.
        rules: The rules to ask.
        probes: Names of those that may measure.
        seconds: About how long they may take, all together, at least 0.

    Returns:
        What it showed.
    """
    failed: list[ProbeFailure] = []
    with _random_numbers_apart():
        measuring = (
            {}
            if data is None
            else make_probes(
                graph, data, batch_size=training.replica_batch, probe_seconds=seconds, failed=failed.append
            )
        )
        known: dict[str, Any] = {"data": data, "training": training}
        facts: Facts = gather_facts(
            graph, **known, probes={name: measuring[name] for name in probes if name in measuring}
        )
        return Look(examine(facts, rules), failed)


@contextmanager
def _random_numbers_apart() -> Iterator[None]:
    """What is drawn meanwhile from the states of Python, NumPy and torch is not missed by whoever draws next."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with _torch_numbers_apart():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _torch_numbers_apart() -> AbstractContextManager[Any]:
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.random.fork_rng(devices=range(torch.cuda.device_count()))
