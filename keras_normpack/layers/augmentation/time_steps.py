"""Where the steps of each sample lie that are no padding, and how to pick steps."""

from dataclasses import dataclass
from typing import Any

from keras import ops

SERIES_SHAPES = {2: "(batch, time)", 3: "(batch, time, channels)"}


@dataclass(frozen=True)
class Steps:
    """The steps of a batch, counted for each sample from its first that is not masked.

    Args:
        positions: Integer tensor `(batch, time)`, 0 at the first step that is not masked.
        lengths: Integer tensor `(batch, 1)`, from the first to the last step that is not masked.
    """

    positions: Any
    lengths: Any

    @classmethod
    def of(cls, inputs: Any, mask: Any) -> "Steps":
        """Finds the steps of inputs `(batch, time, …)` with a mask `(batch, time)`, or `None` if all count."""
        batch, time = ops.shape(inputs)[:2]
        steps = ops.arange(time, dtype="int32")[None]
        if mask is None:
            everywhere = ops.zeros((batch, 1), dtype="int32")
            return cls(steps + everywhere, everywhere + time)
        counted = ops.cast(mask, "int32")
        first = ops.cast(ops.argmax(counted, axis=1, keepdims=True), "int32")
        end = ops.max(counted * (steps + 1), axis=1, keepdims=True)
        return cls(steps - first, end - first)

    @property
    def within(self) -> Any:
        """Boolean tensor `(batch, time)`, whether a step lies between the first and the last that are not masked."""
        return ops.logical_and(self.positions >= 0, self.positions < self.lengths)


def take_steps(inputs: Any, steps: Steps, sources: Any) -> Any:
    """Puts at each step within another one of the same sample.

    Args:
        inputs: Tensor `(batch, time, …)`.
        steps: Its steps.
        sources: Integer tensor `(batch, time)`, the position to take, counted as `steps.positions` are and from 0 to
            below `steps.lengths` wherever `steps.within` is true.

    Returns:
        A tensor of the shape of the inputs; steps that are not within are as they were.
    """
    batch, time, *features = ops.shape(inputs)
    # Rows of one long matrix: gathers that go along an axis within each sample are slow or not compiled.
    rows = ops.reshape(ops.arange(batch * time, dtype="int32"), (batch, time))
    rows = ops.where(steps.within, rows + sources - steps.positions, rows)
    return ops.take(ops.reshape(inputs, (batch * time, *features)), rows, axis=0)


def beside(values: Any, inputs: Any) -> Any:
    """Gives `(batch, …)` values the axes of length 1 they need to stand beside inputs of more axes."""
    return ops.reshape(values, (*ops.shape(values), *(1,) * (len(inputs.shape) - len(values.shape))))
