"""The training loss step by step, of a run whose batches depend on the seed alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from benchmarks.datasets import Pair

STEPS_A_POINT = 10
LOST = 1e9
"""Stands in the curve for a loss that is no number, and from there on."""


def compiled(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> keras.Model:
    """The classifier, which ends in logits, ready for `loss_curve`."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, steps_per_execution=STEPS_A_POINT, jit_compile=False)
    return model


def loss_curve(model: keras.Model, samples: Pair, *, steps: int, seed: int, batch_size: int = 32) -> list[float]:
    """Trains a compiled classifier in place.

    Args:
        model: The classifier.
        samples: What to train on.
        steps: Steps, a multiple of `STEPS_A_POINT`.
        seed: Decides the order of the samples.
        batch_size: Samples per step.

    Returns:
        The mean loss of every `STEPS_A_POINT` steps, in training mode.
    """
    x, y = samples
    generator = np.random.default_rng(seed)
    epochs = math.ceil(steps * batch_size / len(x))
    order = np.concatenate([generator.permutation(len(x)) for _ in range(epochs)])[: steps * batch_size]
    history = model.fit(
        x[order],
        y[order],
        batch_size=batch_size,
        shuffle=False,
        epochs=steps // STEPS_A_POINT,
        steps_per_epoch=STEPS_A_POINT,
        verbose=0,
    )
    return finite(history.history["loss"])


def finite(losses: Sequence[float]) -> list[float]:
    """The losses, with `LOST` from the first that is no number on."""
    good = np.logical_and.accumulate(np.isfinite(losses))
    return [round(float(loss), 4) if usable else LOST for loss, usable in zip(losses, good, strict=True)]
