"""The step of a GRU with layer normalization."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import channels_on
from keras_normpack.layers.recurrent.layer_norm_cell import LayerNormCell, check_cell_arguments, make_norm


@keras.saving.register_keras_serializable(package="keras_normpack")
class LayerNormGRUCell(LayerNormCell, keras.layers.GRUCell):
    """One step of a GRU that normalizes its summed inputs.

    `(z, r) = LN(x · W) + LN(h · U)`, `g = tanh(LN(x · W_g) + σ(r) · LN(h · U_g))`, `h' = σ(z) · h + (1 - σ(z)) · g`.
    Each `LN` is over all values of a sample, those of the gates over both gates together, with gamma and beta of its
    own. `kernel` holds W and W_g, `recurrent_kernel` U and U_g, in the order z, r, g; `bias` has one row for either and
    is added after the norm. So they are the weights of `keras.layers.GRUCell(reset_after=True)`. Statistics are float32
    at least, also under mixed precision. Use it in `keras.layers.RNN`, or as the layer `LayerNormGRU`.

    Args:
        units: Integer from 1, size of the output and of the state.
        activation: Activation of the candidate; `None` for none.
        recurrent_activation: Activation of the gates; `None` for none.
        use_bias: Whether to add `bias`.
        kernel_initializer: Initializer of `kernel`.
        recurrent_initializer: Initializer of `recurrent_kernel`.
        bias_initializer: Initializer of `bias`.
        kernel_regularizer: Regularizer of `kernel`, or `None`.
        recurrent_regularizer: Regularizer of `recurrent_kernel`, or `None`.
        bias_regularizer: Regularizer of `bias`, or `None`.
        kernel_constraint: Constraint of `kernel`, or `None`.
        recurrent_constraint: Constraint of `recurrent_kernel`, or `None`.
        bias_constraint: Constraint of `bias`, or `None`.
        dropout: Share of the inputs to drop in training, in [0, 1); the same ones in every step and for every gate.
        recurrent_dropout: Share of the state to drop in training, in [0, 1), likewise, where it enters the gates and
            the candidate.
        norm_gamma_initializer: Initializer of the scales of the norms.
        norm_beta_initializer: Initializer of the offsets of the norms.
        norm_epsilon: Float above 0, added to the variances.
        seed: Integer or `keras.random.SeedGenerator` for dropout, or `None`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        The output, shape `(batch, units)`, and the list of the state, which is the same.

    Raises:
        ValueError: If `units` is not an integer from 1, a rate is not in [0, 1), `norm_epsilon` is not above 0, or the
            inputs have no known number of features.

    Example:
    >>> import numpy as np
    >>> recurrent = keras.layers.RNN(LayerNormGRUCell(4), return_sequences=True)
    >>> tuple(recurrent(np.ones((2, 5, 3))).shape)
    (2, 5, 4)

    Source:
        Ba, Kiros & Hinton 2016, arXiv:1607.06450, supplementary material on the GRU of skip-thoughts and order
        embeddings; the gate z as in the authors' code (github.com/ryankiros/layer-norm, `lngru_layer`) and in Keras.
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
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            reset_after=True,
            seed=seed,
            **kwargs,
        )
        # All gates are normalized together, so they share one draw, where Keras may draw for each gate.
        self.dropout_mask_count = None
        self.norm_gamma_initializer = keras.initializers.get(norm_gamma_initializer)
        self.norm_beta_initializer = keras.initializers.get(norm_beta_initializer)
        self.norm_epsilon = float(norm_epsilon)
        self.kernel_norm = make_norm(self, "kernel_norm")
        self.recurrent_norm = make_norm(self, "recurrent_norm")
        self.candidate_kernel_norm = make_norm(self, "candidate_kernel_norm")
        self.candidate_recurrent_norm = make_norm(self, "candidate_recurrent_norm")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `kernel`, `recurrent_kernel`, `bias`, and gamma and beta of the four norms, in this order."""
        channels_on(self, input_shape, -1)
        super().build(input_shape)
        self.kernel_norm.build((None, 2 * self.units))
        self.recurrent_norm.build((None, 2 * self.units))
        self.candidate_kernel_norm.build((None, self.units))
        self.candidate_recurrent_norm.build((None, self.units))

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
        input_bias, state_bias = (self.bias[0], self.bias[1]) if self.use_bias else (None, None)
        product = ops.matmul(self._drop_inputs(inputs, training), self.kernel)
        gates, candidate = self._normalize(product, self.kernel_norm, self.candidate_kernel_norm, input_bias)
        product = ops.matmul(self._drop_state(hidden, training), self.recurrent_kernel)
        state_gates, remembered = self._normalize(
            product, self.recurrent_norm, self.candidate_recurrent_norm, state_bias
        )
        update, reset = ops.split(self.recurrent_activation(gates + state_gates), 2, axis=-1)
        candidate = self.activation(candidate + reset * remembered)
        hidden = update * hidden + (1 - update) * candidate
        return hidden, [hidden]

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the cell was made with."""
        config = {
            **super().get_config(),
            "norm_gamma_initializer": keras.initializers.serialize(self.norm_gamma_initializer),
            "norm_beta_initializer": keras.initializers.serialize(self.norm_beta_initializer),
            "norm_epsilon": self.norm_epsilon,
        }
        del config["reset_after"]
        return config

    def _normalize(self, product: Any, gates_norm: Any, candidate_norm: Any, bias: Any) -> tuple[Any, Any]:
        """Splits a product into the part of both gates and the part of the candidate, and normalizes either."""
        gates, candidate = ops.split(product, [2 * self.units], axis=-1)
        gates, candidate = gates_norm(gates), candidate_norm(candidate)
        if bias is None:
            return gates, candidate
        return gates + bias[: 2 * self.units], candidate + bias[2 * self.units :]
