"""A penalty that takes whole groups of weights to zero."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_normpack.regularizers.factor import check_factor
from keras_normpack.statistics import statistics_dtype


@keras.saving.register_keras_serializable(package="keras_normpack")
class GroupLasso(keras.regularizers.Regularizer):
    """Drives whole inputs or whole outputs of a layer to zero, so that they can be cut out.

    `factor · sqrt(group size) · Σ ‖w of a group‖`: the norms, not their squares, so that the pull on a group does not
    fade as it gets small. L2 shrinks all groups and removes none; L1 removes single weights.

    Gradient descent brings a group near zero, within about learning rate · factor · sqrt(group size), and not onto it;
    let the learning rate decay, then cut off what is small. The gradient at zero is 0.

    Args:
        factor: Float from 0, the strength.
        axis: Integer or list of integers, the axes of the weights whose positions are the groups. For the kernels of
            Dense, Conv1D to 3D, LSTM and GRU -2 makes a group of each input and -1 one of each output channel (of
            transposed convolutions the other way round).

    Returns:
        The penalty, a scalar, in float32 at least.

    Raises:
        ValueError: If `factor` is not a finite number from 0, `axis` is no integer or list of integers, or it names an
            axis that the weights do not have, or one twice.

    Example:
    >>> import numpy as np
    >>> weights = keras.ops.convert_to_tensor([[3.0, 4.0], [0.0, 0.0], [5.0, 12.0]])
    >>> bool(np.isclose(float(GroupLasso(0.1)(weights)), 0.1 * np.sqrt(2) * (5 + 0 + 13)))
    True
    >>> layer = keras.layers.Dense(8, kernel_regularizer=GroupLasso(1e-3))

    Source:
        Yuan & Lin 2006, doi:10.1111/j.1467-9868.2005.00532.x, equation 2.1 with the group sizes for K; in networks
        Scardapane et al. 2017, arXiv:1607.00485.
    """

    def __init__(self, factor: float = 0.01, axis: int | Sequence[int] = -2) -> None:
        self.factor = check_factor(self, factor)
        self.axis = self._checked(axis)

    def __call__(self, x: Any) -> Any:
        """Computes the penalty.

        Args:
            x: The weights.

        Returns:
            A scalar.
        """
        members = self._members(tuple(x.shape))
        squared = ops.sum(ops.square(ops.cast(x, statistics_dtype(x))), axis=members)
        # The root has no gradient at 0.
        positive = squared > 0
        norms = ops.where(positive, ops.sqrt(ops.where(positive, squared, ops.ones_like(squared))), 0)
        return self.factor * math.sqrt(math.prod(x.shape[axis] for axis in members)) * ops.sum(norms)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the regularizer was made with."""
        return {"factor": self.factor, "axis": self.axis if isinstance(self.axis, int) else list(self.axis)}

    def _members(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Lists the axes along which the members of a group lie."""
        rank = len(shape)
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        groups = {axis % rank for axis in axes if -rank <= axis < rank}
        if len(groups) != len(axes):
            raise ValueError(
                f"Argument `axis` of {type(self).__name__} must name different axes of the weights, from {-rank} to "
                f"{rank - 1}. Received: axis={self.axis!r}, weights of shape {shape}"
            )
        return tuple(axis for axis in range(rank) if axis not in groups)

    def _checked(self, axis: Any) -> int | tuple[int, ...]:
        axes = axis if isinstance(axis, list | tuple) else [axis]
        if not axes or not all(isinstance(entry, int) and not isinstance(entry, bool) for entry in axes):
            raise ValueError(
                f"Argument `axis` of {type(self).__name__} must be an integer or a list of integers. "
                f"Received: axis={axis!r}"
            )
        return tuple(axis) if isinstance(axis, list | tuple) else axis
