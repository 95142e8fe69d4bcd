"""What the cells with layer normalization have in common."""

from typing import Any

import keras
from keras import ops

from keras_normpack import kernels
from keras_normpack.layers.arguments import check_positive, check_positive_integer, check_rate


class LayerNormCell(keras.layers.Layer):
    """Dropout of the cells: one draw for all gates and steps of a sequence, in float32 at least.

    Cells inherit from this class first, then from Keras's cell of that kind, which makes the weights, keeps the masks
    for the length of a sequence and gives the initial state.
    """

    def get_dropout_mask(self, step_input: Any) -> Any:
        """Gives the factors of the inputs."""
        return super().get_dropout_mask(_precise(step_input))

    def get_recurrent_dropout_mask(self, step_input: Any) -> Any:
        """Gives the factors of the state."""
        return super().get_recurrent_dropout_mask(_precise(step_input))

    def _drop_inputs(self, inputs: Any, training: bool) -> Any:
        if training and self.dropout:
            return inputs * ops.cast(self.get_dropout_mask(inputs), inputs.dtype)
        return inputs

    def _drop_state(self, state: Any, training: bool) -> Any:
        if training and self.recurrent_dropout:
            return state * ops.cast(self.get_recurrent_dropout_mask(state), state.dtype)
        return state


def check_cell_arguments(cell: LayerNormCell, units: Any, dropout: Any, recurrent_dropout: Any, **epsilon: Any) -> None:
    """Checks the numbers a cell is made with.

    Args:
        cell: The cell.
        units: Integer from 1.
        dropout: Number in [0, 1).
        recurrent_dropout: Number in [0, 1).
        **epsilon: The epsilon of the norms under the name the cell has for it, above 0.

    Raises:
        ValueError: If one of them is not what it should be.
    """
    check_positive_integer(cell, "units", units)
    check_rate(cell, "dropout", dropout)
    check_rate(cell, "recurrent_dropout", recurrent_dropout)
    for name, value in epsilon.items():
        check_positive(cell, name, value)


class StepNorm(keras.layers.LayerNormalization):
    """Layer normalization of the last axis within a step, as the reference computes it."""

    def call(self, inputs: Any) -> Any:
        """Normalizes the inputs.

        Args:
            inputs: Float tensor of shape `(batch, features)`.

        Returns:
            A tensor of the shape and dtype of the inputs.
        """
        return kernels.reference("layer_normalization")(inputs, self.gamma, self.beta, axis=-1, epsilon=self.epsilon)


def make_norm(cell: Any, name: str) -> StepNorm:
    """Makes one of the norms of a gated cell.

    Args:
        cell: The cell, with its arguments `norm_gamma_initializer`, `norm_beta_initializer` and `norm_epsilon`.
        name: Name of the norm.

    Returns:
        The norm, not built.
    """
    return StepNorm(
        epsilon=cell.norm_epsilon,
        gamma_initializer=cell.norm_gamma_initializer,
        beta_initializer=cell.norm_beta_initializer,
        dtype=cell.dtype_policy,
        name=name,
    )


def _precise(tensor: Any) -> Any:
    return tensor if keras.backend.standardize_dtype(tensor.dtype) == "float64" else ops.cast(tensor, "float32")
