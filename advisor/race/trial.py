"""One training of one candidate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from advisor import output_files as files
from advisor.race.candidate import Candidate
from advisor.race.data import RaceData
from advisor.race.scoring import Scorer, mean_score
from advisor.rewrite.fresh_values import fresh_copy
from advisor.training import TrainingPlan

OnEpoch = Callable[[int, float], object]
"""Called with the number of epochs done and the mean score on the samples for choosing."""


class Trial(NamedTuple):
    """A training: of which candidate, with which seed, over how many epochs."""

    candidate: str
    seed: int
    epochs: int

    def over(self, epochs: int) -> Trial:
        """The same over other epochs."""
        return Trial(self.candidate, self.seed, epochs)


class OutOfTimeError(Exception):
    """Raised from `on_epoch` to end a training of which nothing is kept."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a training.

    Attributes:
        scores: One score per sample for judging, higher is better; None where it did not train.
        choice: Mean score on the samples for choosing, by which candidates go on; -inf where it did not train.
        epochs: Epochs it ran, fewer than planned where it stopped early.
        seconds: How long it took, scoring included.
        history: What `fit` recorded, by name and epoch.
        failure: Why it did not train, or None.
        notes: What else to know of it, a sentence each.
    """

    scores: np.ndarray | None
    choice: float
    epochs: int
    seconds: float
    history: Mapping[str, list[float]] = field(default_factory=dict)
    failure: str | None = None
    notes: tuple[str, ...] = ()


def train(
    candidate: Candidate,
    data: RaceData,
    scorer: Scorer,
    seed: int,
    epochs: int,
    on_epoch: OnEpoch = lambda epoch, score: None,
    *,
    keep_at: Path | None = None,
    on_model: Callable[[Any], object] = lambda model: None,
) -> Outcome:
    """Train a copy of a candidate from the start, and score it.

    The seed decides on initial values, the order of arrays, dropout and augmentation.

    Args:
        candidate: The candidate; its model stays as it is.
        data: What it is trained, chosen and judged on.
        scorer: How it is scored.
        seed: Seed of all that is random, at least 0.
        epochs: Epochs at most, at least 1.
        on_epoch: Called after every epoch.
        keep_at: A `.keras` file for the trained model, or None to let it go.
        on_model: Called with the copy before it is trained.

    Returns:
        The outcome. A training that fails, or whose loss is no number, has one as well.

    Raises:
        OutOfTimeError: If `on_epoch` raises it.
    """
    started = time.monotonic()
    # What Keras holds of the trainings before would add up.
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    watch = _Watch(data, scorer, on_epoch)
    try:
        fresh = fresh_copy(candidate.model, keep_trained=candidate.keeps_weights)
        on_model(fresh.model)
        history = _fit(candidate.plan or TrainingPlan(), fresh.model, data, seed, epochs, watch)
        failure = _not_a_number(history)
        scores = None if failure else scorer(fresh.model, data.judging, data.batch_size)
        choice = -math.inf if failure else mean_score(scorer(fresh.model, data.choosing, data.batch_size))
        if scores is not None and not np.isfinite(scores).all():
            scores, choice, failure = None, -math.inf, "its predictions are no numbers"
    except OutOfTimeError:
        raise
    except Exception as error:
        # A candidate that cannot be trained is a result; the others go on.
        reason = f"{type(error).__name__}: {error}"
        return Outcome(None, -math.inf, watch.epochs, time.monotonic() - started, failure=reason)
    notes = [fresh.note] if fresh.note and not candidate.keeps_weights else []
    if keep_at is not None and failure is None:
        notes += _keep(fresh.model, keep_at)
    seconds = time.monotonic() - started
    return Outcome(scores, choice, watch.epochs, seconds, history, failure, tuple(notes))


class _Watch(keras.callbacks.Callback):
    """Counts epochs and tells the score of each."""

    def __init__(self, data: RaceData, scorer: Scorer, on_epoch: OnEpoch) -> None:
        super().__init__()
        self._data, self._scorer, self._on_epoch = data, scorer, on_epoch
        self.epochs = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs = epoch + 1
        score = mean_score(self._scorer(self.model, self._data.choosing, self._data.batch_size))
        self._on_epoch(self.epochs, score)


def _fit(plan: TrainingPlan, model: Any, data: RaceData, seed: int, epochs: int, watch: _Watch) -> dict[str, Any]:
    history = plan.fit(
        model,
        data.batches(seed),
        epochs=epochs,
        validation_data=data.choosing,
        validation_batch_size=data.batch_size,
        callbacks=[watch],
        verbose=0,
    )
    return {name: [float(value) for value in values] for name, values in history.history.items()}


def _not_a_number(history: Mapping[str, list[float]]) -> str | None:
    for epoch, loss in enumerate(history.get("loss", []), start=1):
        if not math.isfinite(loss):
            return f"{'NaN' if math.isnan(loss) else 'infinite'} loss in epoch {epoch}"
    return None


def _keep(model: Any, path: Path) -> list[str]:
    """Save the model; why it could not be, as a note."""
    try:
        with files.complete_file(path) as temporary:
            model.save(temporary)
    except Exception as error:
        return [f"`{model.name}` could not be saved: {error}"]
    return []
