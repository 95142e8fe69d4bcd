"""One training, and its points on the test part."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import keras
import numpy as np

from advisor.rewrite.fresh_values import fresh_copy
from benchmarks.advice.menu import Draft
from benchmarks.advice.tasks import Task

GROUPS = 50
"""Parts of the test samples whose points are kept one by one: how they vary tells how far others might differ."""
WORST = -100.0
"""Points that count for a regression that diverged; R² has no lower end."""


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        validation: Points of the validation part: hundredths of accuracy, or of R².
        epochs: Epochs that were run.
        seconds: Seconds of training, without validation of the end.
    """

    validation: float
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Outcome(Trained):
    """What a training came to on the test part.

    Attributes:
        points: Points of the test part.
        groups: Points of each group of test samples; their mean is `points`.
    """

    points: float
    groups: tuple[float, ...]


def train(draft: Draft, task: Task, batch_size: int, seed: int) -> Trained:
    """Train a draft for as long as its task says; the test part is not touched.

    Args:
        draft: Model and plan; the model is trained in place.
        task: The task.
        batch_size: Samples per step.
        seed: Seed of the order of samples and of everything random in the layers.

    Returns:
        What it came to on the validation part.
    """
    keras.utils.set_random_seed(seed)
    x, y = task.parts.train
    begin = time.perf_counter()
    history = draft.plan.fit(
        draft.model,
        x,
        y,
        batch_size=batch_size,
        epochs=task.epochs_at(batch_size),
        validation_data=task.parts.validation,
        verbose=0,
    )
    seconds = time.perf_counter() - begin
    validation = _points(draft.model, task, task.parts.validation).mean()
    return Trained(round(float(validation), 3), len(history.epoch), round(seconds, 2))


def train_and_test(draft: Draft, task: Task, batch_size: int, seed: int) -> Outcome:
    """Train a draft, and test it once; arguments as those of `train`."""
    trained = train(draft, task, batch_size, seed)
    groups = _points(draft.model, task, task.parts.test)
    return Outcome(
        **asdict(trained),
        points=round(float(groups.mean()), 3),
        groups=tuple(round(float(group), 2) for group in groups),
    )


def fresh(draft: Draft, seed: int) -> Draft:
    """The draft with initial values drawn anew, as if the model had just been built; adapted statistics stay."""
    keras.utils.set_random_seed(seed)
    return Draft(fresh_copy(draft.model).model, draft.plan)


def _points(model: keras.Model, task: Task, part: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Points of every group of samples, groups of one size as far as they go."""
    x, y = part
    predicted = np.asarray(model.predict(x, batch_size=256, verbose=0), dtype="float64")
    if task.unit == "accuracy":
        classes = predicted.argmax(-1) if predicted.shape[-1] > 1 else predicted[:, 0] > 0.5
        scores = 100.0 * (classes == y) * np.isfinite(predicted).all(-1)
    else:
        axes = tuple(range(1, predicted.ndim))
        errors = np.square(
            predicted.reshape(y.shape if y.ndim > 1 else (-1, 1)) - y.reshape(len(y), *predicted.shape[1:])
        )
        scores = 100.0 * (1 - errors.mean(axes) / np.square(y - y.mean(0)).mean())
        scores = np.where(np.isfinite(scores), scores, -np.inf)
        if not scores.mean() > WORST:
            scores = np.full(len(y), WORST)
    return np.array([group.mean() for group in np.array_split(scores, min(GROUPS, len(scores)))])
