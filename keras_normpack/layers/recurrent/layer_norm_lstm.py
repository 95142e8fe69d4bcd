"""An LSTM with layer normalization."""

from typing import Any

import keras

from keras_normpack.layers.recurrent.layer_norm_lstm_cell import LayerNormLSTMCell
from keras_normpack.layers.recurrent.layer_norm_rnn import LayerNormRNN


@keras.saving.register_keras_serializable(package="keras_normpack")
class LayerNormLSTM(LayerNormRNN):
    """An LSTM that normalizes its summed inputs and its cell state in every step.

    `(i, f, g, o) = LN(x · kernel) + LN(h · recurrent_kernel) + bias`, `c' = σ(f) · c + σ(i) · tanh(g)`,
    `h' = σ(o) · tanh(LN(c'))`; see `LayerNormLSTMCell`. Masked steps carry the states on. It stands in for
    `keras.layers.LSTM`, also in `keras.layers.Bidirectional`. For LiteRT without the Flex delegate, export it with a
    fixed batch size, such as 1; the number of time steps may stay open.

    Args:
        units: Integer from 1, size of the output and of both states.
        activation: Activation of the candidate and of the normalized cell state; `None` for none.
        recurrent_activation: Activation of the gates; `None` for none.
        use_bias: Whether to add `bias`.
        kernel_initializer: Initializer of `kernel`.
        recurrent_initializer: Initializer of `recurrent_kernel`.
        bias_initializer: Initializer of `bias`.
        unit_forget_bias: Whether the bias of the forget gate starts at 1.
        kernel_regularizer: Regularizer of `kernel`, or `None`.
        recurrent_regularizer: Regularizer of `recurrent_kernel`, or `None`.
        bias_regularizer: Regularizer of `bias`, or `None`.
        activity_regularizer: Regularizer of the outputs, or `None`.
        kernel_constraint: Constraint of `kernel`, or `None`.
        recurrent_constraint: Constraint of `recurrent_kernel`, or `None`.
        bias_constraint: Constraint of `bias`, or `None`.
        dropout: Share of the inputs to drop in training, in [0, 1); the same ones in every step and for every gate.
        recurrent_dropout: Share of the state `h` to drop in training, in [0, 1), likewise.
        seed: Integer or `keras.random.SeedGenerator` for dropout, or `None`.
        return_sequences: Whether to return the outputs of all steps instead of the last one.
        return_state: Whether to return the states `h` and `c` after the last step, too.
        go_backwards: Whether to go through the steps from last to first; the outputs come in this order.
        stateful: Whether a batch starts with the states the batch before ended with; needs a fixed batch size.
        unroll: Whether to write out the steps instead of a loop; needs a fixed number of steps.
        norm_gamma_initializer: Initializer of the scales of the norms.
        norm_beta_initializer: Initializer of the offsets of the norms.
        norm_epsilon: Float above 0, added to the variances.
        norm_carry: Whether the cell state is carried on normalized, as in TensorFlow Addons.
        **kwargs: `zero_output_for_mask` of `keras.layers.RNN`, and arguments of `keras.layers.Layer`, such as `name`
            and `dtype`.

    Returns:
        The last output, shape `(batch, units)`, or all, `(batch, time, units)`; with `return_state` a tuple of it and
        both states.

    Raises:
        ValueError: If `units` is not an integer from 1, a rate is not in [0, 1), `norm_epsilon` is not above 0, or the
            inputs are not of shape `(batch, time, features)` with a known number of features.

    Example:
    >>> import numpy as np
    >>> outputs, hidden, carry = LayerNormLSTM(4, return_sequences=True, return_state=True)(np.ones((2, 5, 3)))
    >>> tuple(outputs.shape), tuple(hidden.shape), tuple(carry.shape)
    ((2, 5, 4), (2, 4), (2, 4))

    Source:
        Ba, Kiros & Hinton 2016, arXiv:1607.06450, equations 20 to 22.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        norm_gamma_initializer: Any = "ones",
        norm_beta_initializer: Any = "zeros",
        norm_epsilon: float = 1e-3,
        norm_carry: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = LayerNormLSTMCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            norm_gamma_initializer=norm_gamma_initializer,
            norm_beta_initializer=norm_beta_initializer,
            norm_epsilon=norm_epsilon,
            norm_carry=norm_carry,
            seed=seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="layer_norm_lstm_cell",
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )

    @property
    def unit_forget_bias(self) -> bool:
        """The argument `unit_forget_bias` of the cell."""
        return self.cell.unit_forget_bias

    @property
    def norm_carry(self) -> bool:
        """The argument `norm_carry` of the cell."""
        return self.cell.norm_carry
