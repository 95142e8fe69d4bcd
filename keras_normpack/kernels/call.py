"""What is known of a call when its kernel is chosen."""

import math
from dataclasses import dataclass
from typing import Any

import keras

# `fit` has 32 samples in a batch unless told otherwise; unknown sizes are taken to be as large.
ASSUMED_SIZE = 32


@dataclass(frozen=True)
class Call:
    """Shape, dtype and channel axis of the tensor an operation is called on, and whether to train.

    Args:
        shape: Static shape, `None` for sizes known only when the graph runs.
        dtype: Name of the dtype, such as `"float32"`.
        axis: The channel axis, counted from the front.
        training: Whether gradients will be asked for. At inference, code may be exported, where compiled kernels have
            no place.
    """

    shape: tuple[int | None, ...]
    dtype: str
    axis: int
    training: bool = True

    @classmethod
    def of(cls, inputs: Any, axis: int, training: bool | None = True) -> "Call":
        """Describes a call on a tensor.

        Args:
            inputs: Tensor of known rank.
            axis: The channel axis, counted from either end.
            training: Whether it is a training step; `None` counts as no.

        Returns:
            The description.
        """
        shape = tuple(inputs.shape)
        return cls(shape, keras.backend.standardize_dtype(inputs.dtype), axis % len(shape), bool(training))

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.shape[self.axis] or ASSUMED_SIZE

    @property
    def positions(self) -> int:
        """Number of positions in a sample, unknown sizes counted as `ASSUMED_SIZE`."""
        return self.elements // (self.channels * (self.shape[0] or ASSUMED_SIZE))

    @property
    def elements(self) -> int:
        """Number of elements, unknown sizes counted as `ASSUMED_SIZE`."""
        return math.prod(ASSUMED_SIZE if size is None else size for size in self.shape)
