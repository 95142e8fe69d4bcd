"""A compiled network trained again from another beginning, as tracing it takes longer than many a training."""

from __future__ import annotations

import keras


def restarted(model: keras.Model, beginning: keras.Model, rate: float | None = None) -> keras.Model:
    """A compiled model set back to before its training.

    Args:
        model: The compiled model.
        beginning: One of the same layers, whose weights and random states it gets.
        rate: The learning rate it gets; None where that is a schedule, which begins again.

    Returns:
        The model; its optimizer is as new.
    """
    for layer, fresh in zip(model.layers, beginning.layers, strict=True):
        for variable, value in zip(layer.variables, fresh.variables, strict=True):
            variable.assign(value)
    model.optimizer.build(model.trainable_variables)
    for variable in model.optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    if rate is not None:
        model.optimizer.learning_rate = rate
    return model
