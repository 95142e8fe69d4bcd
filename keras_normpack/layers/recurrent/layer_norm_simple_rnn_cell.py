"""The step of a simple recurrent network with layer normalization."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import channels_on
from keras_normpack.layers.recurrent.layer_norm_cell import LayerNormCell, StepNorm, check_cell_arguments


@keras.saving.register_keras_serializable(package="keras_normpack")
class LayerNormSimpleRNNCell(LayerNormCell, keras.layers.SimpleRNNCell):
    """One step of a simple recurrent network that normalizes its summed inputs.

    `h' = tanh(LN(x · kernel + h · recurrent_kernel) + bias)`. `LN` is over all values of a sample, with a scale gamma;
    `bias` is its offset. Statistics are float32 at least, also under mixed precision. Use it in `keras.layers.RNN`.

    Args:
        units: Integer from 1, size of the output and of the state.
        activation: Activation of the output; `None` for none.
        use_bias: Whether to add `bias`.
        layernorm_epsilon: Float above 0, added to the variance.
        kernel_initializer: Initializer of `kernel`.
        recurrent_initializer: Initializer of `recurrent_kernel`.
        bias_initializer: Initializer of `bias`.
        gamma_initializer: Initializer of `gamma`.
        kernel_regularizer: Regularizer of `kernel`, or `None`.
        recurrent_regularizer: Regularizer of `recurrent_kernel`, or `None`.
        bias_regularizer: Regularizer of `bias`, or `None`.
        gamma_regularizer: Regularizer of `gamma`, or `None`.
        kernel_constraint: Constraint of `kernel`, or `None`.
        recurrent_constraint: Constraint of `recurrent_kernel`, or `None`.
        bias_constraint: Constraint of `bias`, or `None`.
        gamma_constraint: Constraint of `gamma`, or `None`.
        dropout: Share of the inputs to drop in training, in [0, 1); the same ones in every step.
        recurrent_dropout: Share of the state to drop in training, in [0, 1), likewise.
        seed: Integer or `keras.random.SeedGenerator` for dropout, or `None`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        The output, shape `(batch, units)`, and the list of the state, which is the same.

    Raises:
        ValueError: If `units` is not an integer from 1, a rate is not in [0, 1), `layernorm_epsilon` is not above 0, or
            the inputs have no known number of features.

    Example:
    >>> import numpy as np
    >>> recurrent = keras.layers.RNN(LayerNormSimpleRNNCell(4), return_sequences=True)
    >>> tuple(recurrent(np.ones((2, 5, 3))).shape)
    (2, 5, 4)

    Source:
        Ba, Kiros & Hinton 2016, arXiv:1607.06450, equation 4. Arguments and weights as in TensorFlow Addons 0.23,
        `tfa.rnn.LayerNormSimpleRNNCell`.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        layernorm_epsilon: float = 1e-5,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        gamma_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        gamma_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        check_cell_arguments(self, units, dropout, recurrent_dropout, layernorm_epsilon=layernorm_epsilon)
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
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
        self.layernorm = StepNorm(
            epsilon=float(layernorm_epsilon),
            center=False,
            gamma_initializer=gamma_initializer,
            gamma_regularizer=gamma_regularizer,
            gamma_constraint=gamma_constraint,
            dtype=self.dtype_policy,
            name="layernorm",
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `kernel`, `recurrent_kernel`, `bias` and `gamma`, in this order."""
        channels_on(self, input_shape, -1)
        super().build(input_shape)
        self.layernorm.build((None, self.units))

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        """Computes one step.

        Args:
            inputs: Inputs of the step, shape `(batch, features)`.
            states: List of the state before the step, shape `(batch, units)`.
            training: Whether to apply dropout.

        Returns:
            The output, shape `(batch, units)`, and the list of the state after the step.
        """
        (hidden,) = states
        summed = ops.matmul(self._drop_inputs(inputs, training), self.kernel)
        summed = summed + ops.matmul(self._drop_state(hidden, training), self.recurrent_kernel)
        normalized = self.layernorm(summed)
        hidden = self.activation(normalized if self.bias is None else normalized + self.bias)
        return hidden, [hidden]

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the cell was made with."""
        norm = self.layernorm.get_config()
        return {
            **super().get_config(),
            "layernorm_epsilon": norm["epsilon"],
            **{name: norm[name] for name in ("gamma_initializer", "gamma_regularizer", "gamma_constraint")},
        }
