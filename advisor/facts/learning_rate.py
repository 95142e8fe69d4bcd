"""The learning rate an optimizer was given: its first value, its largest, and whether it is warmed up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras

from advisor.graph.keras_internals import learning_rate_schedule

# Up to a million steps, in powers of two: a rise over many steps shows at several of them.
_STEPS = (0, *(2**exponent for exponent in range(21)))
# A rise over the first hundred steps is none over which an optimizer could gather its averages.
_SHORTEST_WARMUP = 100
_RISE = 2.0


@dataclass(frozen=True)
class LearningRate:
    """The learning rate of a run, as far as the optimizer knows it; callbacks may change it.

    Attributes:
        initial: Its value at the first step.
        peak: Its largest value.
        warmup: Whether it rises to at least twice its first value after 100 steps or more.
        scheduled: Whether a schedule says what it is.
    """

    initial: float
    peak: float
    warmup: bool
    scheduled: bool = False


def learning_rate(optimizer: Any) -> LearningRate | None:
    """The learning rate of an optimizer; a schedule is looked at as a function of the step.

    Args:
        optimizer: A Keras optimizer, or None.

    Returns:
        The learning rate; None without an optimizer, or where its schedule does not tell a number for a step.

    Example:
    >>> import keras
    >>> schedule = keras.optimizers.schedules.CosineDecay(0.0, 10_000, warmup_target=1e-3, warmup_steps=1024)
    >>> learning_rate(keras.optimizers.Adam(schedule)).warmup
    True
    >>> learning_rate(keras.optimizers.Adam(1e-3)).warmup
    False
    """
    if optimizer is None:
        return None
    schedule = learning_rate_schedule(optimizer)
    if schedule is None:
        constant = _number(optimizer.learning_rate)
        return None if constant is None else LearningRate(constant, constant, warmup=False)
    values = {step: value for step in _STEPS if (value := _value_at(schedule, step)) is not None}
    if not values:
        return None
    initial = values[min(values)]
    peak = max(values.values())
    later = max((value for step, value in values.items() if step >= _SHORTEST_WARMUP), default=initial)
    return LearningRate(initial, peak, warmup=later >= _RISE * initial and later > 0, scheduled=True)


def _value_at(schedule: Any, step: int) -> float | None:
    try:
        return _number(schedule(keras.ops.convert_to_tensor(step, dtype="int64")))
    except Exception:  # the user's own function, which may need more than a step
        return None


def _number(value: Any) -> float | None:
    number = float(keras.ops.convert_to_numpy(value))
    return number if math.isfinite(number) else None
