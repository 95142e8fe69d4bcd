"""How the training run is planned."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from advisor.facts.history import read_history


@dataclass(frozen=True)
class TrainingFacts:
    """The planned run, as far as it is known; None stands for unknown.

    Attributes:
        batch_size: Samples per step, all replicas together.
        steps_per_epoch: Optimizer steps per epoch.
        epochs: Planned epochs.
        replicas: Data-parallel replicas that share a step.
        history: Metric values per epoch of an earlier run, by name; empty without one.
        goes_on: Whether the history is that of this run, which has not ended.
    """

    batch_size: int | None = None
    steps_per_epoch: int | None = None
    epochs: int | None = None
    replicas: int = 1
    history: dict[str, list[float]] = field(default_factory=dict)
    goes_on: bool = False

    @property
    def replica_batch(self) -> int | None:
        """Samples per step that one replica sees, over which batch normalization averages."""
        return None if self.batch_size is None else max(1, self.batch_size // self.replicas)

    @property
    def total_steps(self) -> int | None:
        """Optimizer steps of the whole run."""
        if self.steps_per_epoch is None or self.epochs is None:
            return None
        return self.steps_per_epoch * self.epochs

    @property
    def is_planned(self) -> bool:
        """Whether a run is planned, or done: its length or its history is known. A batch size alone says neither."""
        return self.steps_per_epoch is not None or self.epochs is not None or bool(self.history)


def training_facts(
    *,
    batch_size: int | None,
    steps_per_epoch: int | None,
    epochs: int | None,
    replicas: int | None,
    history: Any,
    data_batch_size: int | None,
    samples: int | None,
) -> TrainingFacts:
    """Put together what the user said and what the data shows.

    Args:
        batch_size: As given to `advise`; wins over the data's own.
        steps_per_epoch: As given; else samples ÷ batch size, rounded up; else those of `history`.
        epochs: As given; else those planned for the run of `history`, or its length.
        replicas: Data-parallel replicas, at least 1; None counts as 1.
        history: A `keras.callbacks.History`, its `.history` dict, the path of a `CSVLogger` file, or None.
        data_batch_size: Batch size of the data set, where it is batched.
        samples: Training samples, where known.

    Returns:
        The facts.

    Raises:
        ValueError: If a count is below 1 or `history` is of no known form.
        FileNotFoundError: If `history` is the path of no file.
    """
    for name, value in (
        ("batch_size", batch_size),
        ("steps_per_epoch", steps_per_epoch),
        ("epochs", epochs),
        ("replicas", replicas),
    ):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
            raise ValueError(f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}")
    run = read_history(history)
    batch = batch_size if batch_size is not None else data_batch_size
    if steps_per_epoch is None and samples is not None and batch is not None:
        steps_per_epoch = math.ceil(samples / batch)
    steps_per_epoch = run.steps if steps_per_epoch is None else steps_per_epoch
    epochs = run.epochs if epochs is None else epochs
    return TrainingFacts(batch, steps_per_epoch, epochs, 1 if replicas is None else replicas, run.metrics)
