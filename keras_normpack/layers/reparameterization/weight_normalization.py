"""Weight normalization as a wrapper."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

from keras_normpack.layers.reparameterization.kernel_axes import (
    KernelAxes,
    is_supported,
    kernels_of,
    supported_layers,
)
from keras_normpack.layers.reparameterization.substitution import call_with
from keras_normpack.replicas import mean_over_replicas

# Keeps a direction of length 0 from being divided by 0.
_TINY = 1e-12
# Outputs that vary less over the batch are constant to rounding; such a channel keeps its length.
_CONSTANT = 1e-10


@keras.saving.register_keras_serializable(package="keras_normpack")
class WeightNormalization(keras.layers.Wrapper):
    """Separates the length of a layer's weight vectors from their direction.

    `w = g · v / ‖v‖` with one length g per output channel. The direction v is the wrapped layer's own kernel variable;
    g is a weight of this wrapper, equal to ‖v‖ at first, so that wrapping changes nothing.

    With `data_init`, the first training batch sets g and the layer's bias so that its outputs before the activation
    have mean 0 and variance 1 per channel on that batch; a channel that is constant on it keeps its length and gets
    mean 0. This happens inside `fit` on the TensorFlow and torch backends. JAX drops assignments to trainable weights
    made inside `fit`: there, and wherever another batch shall be used, call `initialize` first. Switch `data_init` off
    to wrap a layer that is trained already.

    Args:
        layer: The layer to wrap: Dense, EinsumDense, Embedding, Conv1D to 3D, their transposed forms, DepthwiseConv or
            SeparableConv.
        data_init: Whether the first training batch sets g and the bias.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`; `dtype` is the wrapped layer's unless given.

    Returns:
        What the wrapped layer returns.

    Raises:
        ValueError: If the layer is of another class, or has a bias that does not match its output channels while
            `data_init` is on.

    Example:
    >>> import numpy as np
    >>> layer = WeightNormalization(keras.layers.Dense(3))
    >>> features = np.random.default_rng(0).normal(5.0, 2.0, (64, 8))
    >>> outputs = keras.ops.convert_to_numpy(layer(features, training=True))
    >>> bool(abs(outputs.mean(axis=0)).max() < 1e-4), bool(abs(outputs.std(axis=0) - 1).max() < 1e-4)
    (True, True)
    >>> plain = layer.remove()
    >>> type(plain).__name__, bool(np.allclose(plain(features), outputs, atol=1e-4))
    ('Dense', True)

    Source:
        Salimans & Kingma 2016, arXiv:1602.07868, equations 2 and 6.
    """

    def __init__(self, layer: keras.layers.Layer, data_init: bool = True, **kwargs: Any) -> None:
        if not is_supported(layer):
            raise ValueError(
                f"Argument `layer` of {type(self).__name__} must be one of {', '.join(supported_layers())}, or a "
                f"subclass. Received: layer={layer!r} of type {type(layer).__name__}"
            )
        super().__init__(layer, **{"dtype": layer.dtype_policy, **kwargs})
        # The direction is normalized in full precision; the wrapped layer casts for itself.
        self.autocast = False
        self.data_init = data_init
        self.supports_masking = layer.supports_masking

    def build(self, input_shape: Any = None) -> None:
        """Builds the wrapped layer and creates one length per kernel and output channel."""
        super().build(input_shape)
        kernels = kernels_of(self.layer)
        if self.data_init:
            self._check_bias(kernels[-1])
        self._lengths = [self._add_length(kernel, len(kernels) == 1) for kernel in kernels]
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
        return self._direction(kernels_of(self.layer)[-1])

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Calls the wrapped layer with `g · v / ‖v‖` as its kernel.

        Args:
            inputs: Inputs of the wrapped layer.
            training: Whether this is a training step; the first one initializes if `data_init` is on.

        Returns:
            The outputs of the wrapped layer.
        """
        trains = training and self.trainable and self.layer.trainable
        if trains and self.data_init and keras.backend.backend() != "jax":
            values = ops.cond(
                self.initialized.value,
                lambda: tuple(ops.convert_to_tensor(variable) for variable in self._data_dependent_variables()),
                lambda: self._data_dependent_values(inputs),
            )
            self._assign_initial([mean_over_replicas(value) for value in values])
        return call_with(self.layer, self._normalized(), inputs).carry_out()

    def initialize(self, inputs: Any) -> None:
        """Sets g and the bias from a batch, whether or not they have been set before.

        Args:
            inputs: A batch of the wrapped layer's inputs, such as `(batch, features)`.
        """
        inputs = ops.convert_to_tensor(inputs)
        if not self.built:
            self.build(inputs.shape)
        self._assign_initial(self._data_dependent_values(inputs))

    def remove(self) -> keras.layers.Layer:
        """Gives the plain layer that computes the same.

        Returns:
            A new layer of the wrapped layer's class, config and name, whose kernel is `g · v / ‖v‖`.

        Raises:
            ValueError: If the wrapper has not been built, so that there are no weights yet.
        """
        if not self.built:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} has no weights before it is built; call it on data first. "
                "Received: built=False"
            )
        plain = type(self.layer).from_config(self.layer.get_config())
        plain.build_from_config(self.layer.get_build_config())
        plain.set_weights(self.layer.get_weights())
        for kernel, (_, weights) in zip(kernels_of(plain), self._normalized(), strict=True):
            getattr(plain, kernel.attribute).assign(weights)
        return plain

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Gives the output shape of the wrapped layer."""
        return self.layer.compute_output_shape(input_shape)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Gives the mask of the wrapped layer."""
        return self.layer.compute_mask(inputs, previous_mask)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the wrapper was made with."""
        return {**super().get_config(), "data_init": self.data_init}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "WeightNormalization":
        """Makes a wrapper from its config, which is left as it is (Keras's `Wrapper` takes the layer out)."""
        return super().from_config(dict(config), custom_objects)

    def _add_length(self, kernel: KernelAxes, only: bool) -> Any:
        direction = self._direction(kernel)
        return self.add_weight(
            name="g" if only else f"{kernel.attribute.removesuffix('_kernel')}_g",
            shape=tuple(direction.shape[axis] for axis in kernel.channels),
            initializer=lambda shape, dtype: ops.cast(
                ops.reshape(ops.sqrt(_squared_length(direction, kernel)), shape), dtype
            ),
            autocast=False,
        )

    def _direction(self, kernel: KernelAxes) -> Any:
        return getattr(self.layer, kernel.attribute)

    def _normalized(self) -> list[tuple[Any, Any]]:
        """Pairs each kernel variable with its value `g · v / ‖v‖`."""
        pairs = []
        for kernel, length in zip(kernels_of(self.layer), self._lengths, strict=True):
            direction = self._direction(kernel)
            squared = _squared_length(direction, kernel)
            scale = ops.reshape(ops.cast(length, squared.dtype), squared.shape) * ops.rsqrt(ops.maximum(squared, _TINY))
            pairs.append((direction, ops.cast(ops.cast(direction, squared.dtype) * scale, direction.dtype)))
        return pairs

    def _data_dependent_variables(self) -> tuple[Any, ...]:
        bias = _bias(self.layer)
        return (self.g,) if bias is None else (self.g, bias)

    def _data_dependent_values(self, inputs: Any) -> tuple[Any, ...]:
        """Equation 6: `g / σ` and `-μ / σ` of the outputs without bias and activation."""
        bias = _bias(self.layer)
        without_bias = [] if bias is None else [(bias, ops.zeros(bias.shape, bias.dtype))]
        with _linear(self.layer):
            outputs = call_with(self.layer, [*self._normalized(), *without_bias], inputs).outputs
        outputs = ops.cast(outputs, keras.backend.result_type(outputs.dtype, "float32"))
        rank = len(outputs.shape)
        channels = [axis % rank for axis in kernels_of(self.layer)[-1].outputs]
        mean, variance = ops.moments(outputs, [axis for axis in range(rank) if axis not in channels])
        scale = ops.where(variance > _CONSTANT, ops.rsqrt(ops.maximum(variance, _CONSTANT)), 1)
        in_kernel_order = [sorted(channels).index(axis) for axis in channels]
        length = ops.cast(self.g, scale.dtype) * ops.reshape(ops.transpose(scale, in_kernel_order), self.g.shape)
        if bias is None:
            return (ops.cast(length, self.g.dtype),)
        return ops.cast(length, self.g.dtype), ops.cast(ops.reshape(-mean * scale, bias.shape), bias.dtype)

    def _assign_initial(self, values: Sequence[Any]) -> None:
        for variable, value in zip(self._data_dependent_variables(), values, strict=True):
            variable.assign(value)
        self.initialized.assign(True)

    def _check_bias(self, kernel: KernelAxes) -> None:
        bias = _bias(self.layer)
        channels = [self._direction(kernel).shape[axis] for axis in kernel.channels]
        if bias is not None and math.prod(bias.shape) != math.prod(channels):
            raise ValueError(
                f"Argument `data_init` of {type(self).__name__} {self.name!r} needs a bias with one value per output "
                f"channel of layer {self.layer.name!r}, {math.prod(channels)} in all; pass data_init=False. "
                f"Received: data_init=True, bias of shape {tuple(bias.shape)}"
            )


def _squared_length(direction: Any, kernel: KernelAxes) -> Any:
    direction = ops.cast(direction, keras.backend.result_type(direction.dtype, "float32"))
    summed = [axis for axis in range(len(direction.shape)) if axis not in kernel.channels]
    return ops.sum(ops.square(direction), axis=summed, keepdims=True)


def _bias(layer: keras.layers.Layer) -> Any:
    return getattr(layer, "bias", None)


@contextlib.contextmanager
def _linear(layer: keras.layers.Layer) -> Iterator[None]:
    """Takes the activation off a layer for a while."""
    if not hasattr(layer, "activation"):
        yield
        return
    activation, layer.activation = layer.activation, keras.activations.linear
    try:
        yield
    finally:
        layer.activation = activation
