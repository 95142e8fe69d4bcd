"""The step of an LSTM with layer normalization."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import channels_on
from keras_normpack.layers.recurrent.layer_norm_cell import LayerNormCell, check_cell_arguments, make_norm


@keras.saving.register_keras_serializable(package="keras_normpack")
class LayerNormLSTMCell(LayerNormCell, keras.layers.LSTMCell):
    """One step of an LSTM that normalizes its summed inputs and its cell state.

    `(i, f, g, o) = LN(x · kernel) + LN(h · recurrent_kernel) + bias`, `c' = σ(f) · c + σ(i) · tanh(g)`,
    `h' = σ(o) · tanh(LN(c'))`. Each `LN` is over all values of a sample, the first two over the four gates together,
    with gamma and beta of its own. The cell state is carried on as it is, as in the paper; with `norm_carry=True` it is
    carried on normalized, as in TensorFlow Addons. Statistics are float32 at least, also under mixed precision. Use it
    in `keras.layers.RNN`, or as the layer `LayerNormLSTM`.

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
        kernel_constraint: Constraint of `kernel`, or `None`.
        recurrent_constraint: Constraint of `recurrent_kernel`, or `None`.
        bias_constraint: Constraint of `bias`, or `None`.
        dropout: Share of the inputs to drop in training, in [0, 1); the same ones in every step and for every gate.
        recurrent_dropout: Share of the state `h` to drop in training, in [0, 1), likewise.
        norm_gamma_initializer: Initializer of the scales of the norms.
        norm_beta_initializer: Initializer of the offsets of the norms.
        norm_epsilon: Float above 0, added to the variances.
        norm_carry: Whether the cell state is carried on normalized. `True` for weights that were trained in
            TensorFlow Addons.
        seed: Integer or `keras.random.SeedGenerator` for dropout, or `None`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        The output, shape `(batch, units)`, and the list of the states `h'` and `c'`, of the same shape.

    Raises:
        ValueError: If `units` is not an integer from 1, a rate is not in [0, 1), `norm_epsilon` is not above 0, or the
            inputs have no known number of features.

    Example:
    >>> import numpy as np
    >>> recurrent = keras.layers.RNN(LayerNormLSTMCell(4), return_sequences=True)
    >>> tuple(recurrent(np.ones((2, 5, 3))).shape)
    (2, 5, 4)

    Source:
        Ba, Kiros & Hinton 2016, arXiv:1607.06450, equations 20 to 22. Arguments and weights as in TensorFlow Addons
        0.23, `tfa.rnn.LayerNormLSTMCell`.
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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        norm_gamma_initializer: Any = "ones",
        norm_beta_initializer: Any = "zeros",
        norm_epsilon: float = 1e-3,
        norm_carry: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        check_cell_arguments(self, units, dropout, recurrent_dropout, norm_epsilon=norm_epsilon)
        super().__init__(
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
            seed=seed,
            **kwargs,
        )
        # All gates are normalized together, so they share one draw, where Keras may draw for each gate.
        self.dropout_mask_count = None
        self.norm_gamma_initializer = keras.initializers.get(norm_gamma_initializer)
        self.norm_beta_initializer = keras.initializers.get(norm_beta_initializer)
        self.norm_epsilon = float(norm_epsilon)
        self.norm_carry = norm_carry
        self.kernel_norm = make_norm(self, "kernel_norm")
        self.recurrent_norm = make_norm(self, "recurrent_norm")
        self.state_norm = make_norm(self, "state_norm")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `kernel`, `recurrent_kernel`, `bias`, and gamma and beta of the three norms, in this order."""
        channels_on(self, input_shape, -1)
        super().build(input_shape)
        self.kernel_norm.build((None, 4 * self.units))
        self.recurrent_norm.build((None, 4 * self.units))
        self.state_norm.build((None, self.units))

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        """Computes one step.

        Args:
            inputs: Inputs of the step, shape `(batch, features)`.
            states: The states `h` and `c` before the step, each of shape `(batch, units)`.
            training: Whether to apply dropout.

        Returns:
            The output, shape `(batch, units)`, and the list of the states after the step.
        """
        hidden, carry = states
        summed = self.kernel_norm(ops.matmul(self._drop_inputs(inputs, training), self.kernel))
        summed = summed + self.recurrent_norm(ops.matmul(self._drop_state(hidden, training), self.recurrent_kernel))
        if self.use_bias:
            summed = summed + self.bias
        input_gate, forget_gate, candidate, output_gate = ops.split(summed, 4, axis=-1)
        kept = self.recurrent_activation(forget_gate) * carry
        carry = kept + self.recurrent_activation(input_gate) * self.activation(candidate)
        normalized = self.state_norm(carry)
        hidden = self.recurrent_activation(output_gate) * self.activation(normalized)
        return hidden, [hidden, normalized if self.norm_carry else carry]

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the cell was made with."""
        return {
            **super().get_config(),
            "norm_gamma_initializer": keras.initializers.serialize(self.norm_gamma_initializer),
            "norm_beta_initializer": keras.initializers.serialize(self.norm_beta_initializer),
            "norm_epsilon": self.norm_epsilon,
            "norm_carry": self.norm_carry,
        }
