"""Weight normalization as a wrapper."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_normpack.layers.reparameterization.data_dependent_start import started_values, started_variables
from keras_normpack.layers.reparameterization.kernel_axes import (
    LINEAR_LAYERS,
    RECURRENT_LAYERS,
    KernelAxes,
    kernels_of,
)
from keras_normpack.layers.reparameterization.kernel_wrapper import KernelWrapper, in_full_precision
from keras_normpack.replicas import mean_over_replicas

# Keeps a direction of length 0 from being divided by 0.
_TINY = 1e-12


@keras.saving.register_keras_serializable(package="keras_normpack")
class WeightNormalization(KernelWrapper):
    """Separates the length of a layer's weight vectors from their direction.

    `w = g · v / ‖v‖` with one length g per output channel. The direction v is the wrapped layer's own kernel variable,
    so its regularizer and constraint act on v; g is a weight of this wrapper, equal to ‖v‖ at first, so that wrapping
    changes nothing. Freezing the wrapped layer alone holds v and the bias, and g still trains; freezing the wrapper
    holds everything.

    With `data_init`, the first training batch sets g and the layer's bias so that its outputs before the activation
    have mean 0 and variance 1 per channel on that batch, masked positions left out; a channel that is constant on it
    keeps its length and gets mean 0. Inside `TimeDistributed` the first step of that batch counts. This happens inside
    `fit` on the TensorFlow and torch backends. JAX drops assignments to trainable weights made inside `fit`: there, and
    wherever another batch shall be used, call `initialize` first. Switch `data_init` off to wrap a layer that is
    trained already. Recurrent layers are not initialized from data, whatever `data_init` says: the paper leaves them to
    their own initializers (section 3).

    A recurrent layer has a length per column of `kernel` and of `recurrent_kernel`, that is per unit and gate. Wrapping
    the layer is faster than wrapping its cell, whose kernels are computed anew at every step. Both
    `Bidirectional(WeightNormalization(LSTM(8)))` and `WeightNormalization(Bidirectional(LSTM(8)))` work.

    The constructor is that of `tfa.layers.WeightNormalization`, which initializes in the first call of any kind. Its
    weights begin with `g, v, bias, initialized`, these with `g, initialized, v, bias`. Of a recurrent layer it
    normalizes `recurrent_kernel` alone, and of a transposed convolution it takes the input channels for the outputs.

    Args:
        layer: The layer to wrap: Dense, EinsumDense, Embedding, Conv1D to 3D, their transposed forms, DepthwiseConv,
            SeparableConv, SimpleRNN, GRU, LSTM, their cells, RNN around one of these cells, ConvLSTM, or Bidirectional
            around one of these layers.
        data_init: Whether the first training batch sets g and the bias.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`; `dtype` is the wrapped layer's unless given.

    Returns:
        What the wrapped layer returns.

    Raises:
        ValueError: If the layer is of another class, is quantized or has LoRA enabled, or has a bias that does not
            match its output channels while `data_init` is on.

    Example:
    >>> import numpy as np
    >>> layer = WeightNormalization(keras.layers.Dense(3))
    >>> features = np.random.default_rng(0).normal(5.0, 2.0, (64, 8))
    >>> layer.initialize(features)
    >>> outputs = keras.ops.convert_to_numpy(layer(features))
    >>> bool(abs(outputs.mean(axis=0)).max() < 1e-4), bool(abs(outputs.std(axis=0) - 1).max() < 1e-4)
    (True, True)
    >>> plain = layer.remove()
    >>> type(plain).__name__, bool(np.allclose(keras.ops.convert_to_numpy(plain(features)), outputs, atol=1e-4))
    ('Dense', True)

    Source:
        Salimans & Kingma 2016, arXiv:1602.07868, equations 2 and 6.
    """

    kinds = (*LINEAR_LAYERS, keras.layers.Embedding, *RECURRENT_LAYERS)

    def __init__(self, layer: keras.layers.Layer, data_init: bool = True, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.data_init = data_init

    def build(self, input_shape: Any = None) -> None:
        """Builds the wrapped layer and creates one length per kernel and output channel."""
        super().build(input_shape)
        kernels = kernels_of(self.layer)
        if self._starts_from_data():
            self._check_bias(kernels[-1])
        self._lengths = [
            self._add_length(kernel, "g" if len(kernels) == 1 else kernel.weight_name("g")) for kernel in kernels
        ]
        self.initialized = self.add_weight(
            name="initialized",
            shape=(),
            dtype="bool",
            initializer="zeros",
            trainable=False,
        )

    @property
    def g(self) -> Any:
        """Length of the weight vectors that yield the outputs, one per output channel."""
        return self._lengths[-1]

    @property
    def v(self) -> Any:
        """Direction of the weight vectors that yield the outputs: the wrapped layer's kernel variable."""
        return kernels_of(self.layer)[-1].variable(self.layer)

    def kernel_value(self, position: int, kernel: KernelAxes, variable: Any) -> Any:
        """Computes `g · v / ‖v‖`."""
        squared = ops.sum(ops.square(variable), axis=kernel.summed(self.layer), keepdims=True)
        length = ops.cast(self._lengths[position], squared.dtype)
        return variable * (ops.reshape(length, squared.shape) * ops.rsqrt(ops.maximum(squared, _TINY)))

    def call(
        self,
        inputs: Any,
        states: Any = None,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        """Calls the wrapped layer with `g · v / ‖v‖` as its kernel.

        Args:
            inputs: Inputs of the wrapped layer.
            states: States of the last step, if the wrapped layer is a recurrent cell.
            initial_state: States to begin with, if the wrapped layer is recurrent.
            mask: Mask of the inputs, used if the wrapped layer takes one.
            training: Whether this is a training step; the first one initializes if `data_init` is on.

        Returns:
            The outputs of the wrapped layer.
        """
        trains = training and self.trainable and self.layer.trainable
        if trains and self._starts_from_data():
            self._start_from_data(inputs, mask)
        return super().call(inputs, states, initial_state, mask, training)

    def initialize(self, inputs: Any, mask: Any = None) -> None:
        """Sets g and the bias from a batch, whether or not they have been set before.

        Args:
            inputs: A batch of the wrapped layer's inputs, such as `(batch, features)`.
            mask: Positions that count, such as `(batch, time)` for `(batch, time, features)`, or `None` for all.

        Raises:
            ValueError: If the wrapped layer is recurrent.
        """
        if self._is_recurrent():
            raise ValueError(
                f"{type(self).__name__} {self.name!r} wraps a recurrent layer, which cannot be initialized from data: "
                "its outputs depend on themselves. g stays ‖v‖, as the layer's own initializers make it. "
                f"Received: a batch for layer {self.layer.name!r} of type {type(self.layer).__name__}"
            )
        inputs = ops.convert_to_tensor(inputs)
        if not self.built:
            self.build(inputs.shape)
        self._assign_initial(self._started_values(inputs, mask))

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the wrapper was made with."""
        return {**super().get_config(), "data_init": self.data_init}

    def _is_recurrent(self) -> bool:
        return isinstance(self.layer, RECURRENT_LAYERS)

    def _starts_from_data(self) -> bool:
        return self.data_init and not self._is_recurrent()

    def _add_length(self, kernel: KernelAxes, name: str) -> Any:
        return self.add_weight(
            name=name,
            shape=kernel.shape(self.layer),
            initializer=lambda shape, dtype: ops.cast(self._norm(kernel), dtype),
            autocast=False,
        )

    def _norm(self, kernel: KernelAxes) -> Any:
        direction = in_full_precision(kernel.variable(self.layer))
        return ops.sqrt(ops.sum(ops.square(direction), axis=kernel.summed(self.layer)))

    def _start_from_data(self, inputs: Any, mask: Any) -> None:
        """Initializes if that has not been done, inside a training step."""
        backend = keras.backend.backend()
        if backend == "torch":
            # Torch takes no assignment to a weight that a gradient still needs, not even of the value it has.
            ops.cond(
                self.initialized.value, lambda: None, lambda: self._assign_initial(self._started_values(inputs, mask))
            )
        elif backend == "tensorflow":
            values = ops.cond(
                self.initialized.value,
                lambda: tuple(ops.convert_to_tensor(variable) for variable in started_variables(self.layer, self.g)),
                lambda: self._started_values(inputs, mask),
            )
            self._assign_initial([mean_over_replicas(value) for value in values])

    def _started_values(self, inputs: Any, mask: Any) -> tuple[Any, ...]:
        # Only a layer that hands masks on keeps its outputs at the positions of its inputs.
        return started_values(
            self.layer, self.g, self._substitutes(), inputs, mask if self.layer.supports_masking else None
        )

    def _assign_initial(self, values: Sequence[Any]) -> None:
        for variable, value in zip(started_variables(self.layer, self.g), values, strict=True):
            variable.assign(value)
        self.initialized.assign(True)

    def _check_bias(self, kernel: KernelAxes) -> None:
        bias = getattr(self.layer, "bias", None)
        channels = math.prod(kernel.shape(self.layer))
        if bias is not None and math.prod(bias.shape) != channels:
            raise ValueError(
                f"Argument `data_init` of {type(self).__name__} {self.name!r} needs a bias with one value per output "
                f"channel of layer {self.layer.name!r}, {channels} in all; pass data_init=False. "
                f"Received: data_init=True, bias of shape {tuple(bias.shape)}"
            )
