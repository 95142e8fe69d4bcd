"""A few steps of training on copies of a model's weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.facts.probes.data_loss import DataLoss
from advisor.facts.structures import rows
from advisor.graph.keras_internals import compile_arguments
from keras_normpack.autodiff import value_and_gradients

STEPS = 5
FEWEST_SAMPLES = TRIED_FIRST = 4
# A gradient costs about as much as three forward passes.
COST_OF_GRADIENT = 3.0


@dataclass(frozen=True)
class Outcome:
    """What the first steps showed.

    Attributes:
        samples: Samples they rest on.
        loss: Loss before them, without penalties.
        penalties: Penalties before them.
        gradients: Gradient of each trainable variable before them: its norm.
        later: The same after them; None where there was no time for them.
        loss_later: Loss after them, None likewise.
    """

    samples: int
    loss: float
    penalties: float
    gradients: Sequence[float]
    later: Sequence[float] | None
    loss_later: float | None


def walk(model: Any, loss: DataLoss, x: Any, y: Any, *, seconds: float) -> Outcome | None:
    """Take the first steps of training beside a model.

    Args:
        model: A built model with trainable weights; it stays as it is.
        loss: Takes targets and outputs.
        x: Inputs in the structure of the model's.
        y: Targets.
        seconds: How long it may take: fewer samples are run, and in the end no steps taken, to keep to it.

    Returns:
        What the steps showed; None where there is no time for the gradient of 4 samples.
    """
    fixed = [variable.value for variable in model.non_trainable_variables]
    values = [variable.value for variable in model.trainable_variables]

    def objective(samples: int) -> Any:
        inputs = keras.tree.map_structure(lambda leaf: keras.ops.convert_to_tensor(leaf[:samples]), x)
        targets = rows(y, slice(samples))

        def value(*weights: Any) -> Any:
            outputs, _ = model.stateless_call(list(weights), fixed, inputs, training=True)
            return loss(targets, outputs)

        return value

    begin = time.monotonic()
    penalties = _penalties(model, values, fixed, x)
    tried = time.monotonic()
    objective(TRIED_FIRST)(*values)
    per_sample = COST_OF_GRADIENT * (time.monotonic() - tried) / TRIED_FIRST
    samples = min(len(keras.tree.flatten(x)[0]), int((seconds - (time.monotonic() - begin)) / 2 / per_sample))
    if samples < FEWEST_SAMPLES:
        return None
    started = time.monotonic()
    first, gradients = value_and_gradients(objective(samples), values)
    norms = _norms(gradients)
    took, spent = time.monotonic() - started, time.monotonic() - begin
    if spent + (STEPS + 1) * took > seconds:
        return Outcome(samples, first, penalties, norms, None, None)
    # Copied as arrays: a variable made from another one's value may share its storage.
    copies = [
        keras.Variable(np.array(keras.ops.convert_to_numpy(variable.value)), dtype=variable.dtype)
        for variable in model.trainable_variables
    ]
    optimizer = _fresh_optimizer(model)
    optimizer.build(copies)
    for _ in range(STEPS):
        optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients], copies)
        last, gradients = value_and_gradients(objective(samples), [copy.value for copy in copies])
    return Outcome(samples, first, penalties, norms, _norms(gradients), last)


def _penalties(model: Any, values: Sequence[Any], fixed: Sequence[Any], x: Any) -> float:
    inputs = keras.tree.map_structure(lambda leaf: keras.ops.convert_to_tensor(leaf[:TRIED_FIRST]), x)
    _, _, losses = model.stateless_call(values, fixed, inputs, return_losses=True, training=True)
    return float(sum(float(keras.ops.convert_to_numpy(one)) for one in losses))


def _fresh_optimizer(model: Any) -> Any:
    """The optimizer a model is compiled with, made anew, or Adam."""
    compiled = getattr(model, "optimizer", None) if compile_arguments(model) else None
    compiled = getattr(compiled, "inner_optimizer", compiled)
    return keras.optimizers.Adam() if compiled is None else type(compiled).from_config(compiled.get_config())


def _norms(gradients: Sequence[np.ndarray]) -> list[float]:
    return [float(np.linalg.norm(gradient.astype("float64"))) for gradient in gradients]
