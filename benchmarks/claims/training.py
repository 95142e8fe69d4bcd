"""Trainings the claims share: one arm for one seed, and the choice of a learning rate for an arm."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from benchmarks.claims.claim import Run
from benchmarks.datasets import Pair, Parts

TUNING_SEED = 1000
"""Seed of the trainings a learning rate is chosen on; no result is reported of it."""
STEPS_AT_ONCE = 50


def train(
    model: keras.Model,
    data: Parts,
    optimizer: keras.optimizers.Optimizer,
    batch_size: int,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Train a classifier that ends in logits.

    Args:
        model: The network, already drawn with the seed.
        data: Train, validation and test part.
        optimizer: The optimizer, with its learning rate.
        batch_size: Samples per step; a last smaller batch is left out.
        epochs: Passes over the training part.
        callbacks: What else happens while training.

    Returns:
        `accuracy` on the test part and `validation` accuracy, in percent, `loss` per epoch on the training part, and
        `seconds`. A training that diverged has the accuracies of chance and no loss from there on.
    """
    begin = time.perf_counter()
    steps = len(data.train[0]) // batch_size
    at_once = next(number for number in range(min(STEPS_AT_ONCE, steps), 0, -1) if steps % number == 0)
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
        steps_per_execution=at_once,
    )
    history = model.fit(
        batches(data.train, batch_size),
        epochs=epochs,
        verbose=0,
        shuffle=False,
        callbacks=[keras.callbacks.TerminateOnNaN(), *callbacks],
    )
    losses = [float(loss) for loss in history.history["loss"]]
    diverged = not np.isfinite(losses).all()
    return {
        "accuracy": 100 / data.classes if diverged else accuracy(model, data.test),
        "validation": 100 / data.classes if diverged else accuracy(model, data.validation),
        "loss": [loss for loss in losses if np.isfinite(loss)],
        "seconds": round(time.perf_counter() - begin, 2),
    }


def batches(pair: Pair, batch_size: int, fixed: bool = True) -> Any:
    """Whole batches of a part, in another order each epoch; `fixed` tells their size to who traces them."""
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(pair).cache()
    shuffled = dataset.shuffle(len(pair[0]), reshuffle_each_iteration=True)
    if fixed:
        return shuffled.batch(batch_size, drop_remainder=True)
    return shuffled.batch(batch_size).take(len(pair[0]) // batch_size)


def accuracy(model: Callable[..., Any], pair: Pair) -> float:
    """Share of samples classified right, in percent."""
    logits = np.concatenate([np.asarray(model(part, training=False)) for part in parts_of(pair[0])])
    return float(100 * np.mean(np.argmax(logits, axis=-1) == pair[1]))


def parts_of(x: np.ndarray, samples: int = 500) -> list[np.ndarray]:
    """The samples in parts that take little memory."""
    return [x[start : start + samples] for start in range(0, len(x), samples)]


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
