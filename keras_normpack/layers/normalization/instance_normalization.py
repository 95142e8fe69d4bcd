"""Instance normalization."""

from typing import Any

import keras

from keras_normpack import kernels


@keras.saving.register_keras_serializable(package="keras_normpack")
class InstanceNormalization(keras.layers.Layer):
    """Normalizes each channel of each sample over all its positions.

    `y = gamma · (x - mean) / sqrt(variance + epsilon) + beta` with mean and variance per sample and channel, the same
    in training and at inference. Statistics are float32 at least, also under mixed precision. Where the inputs carry a
    mask, masked positions do not count, and the mask goes on to the next layer.

    Args:
        axis: Integer, the channel axis; not the batch axis. `-1` for `(batch, height, width, channels)`, `1` for
            `(batch, channels, height, width)`.
        epsilon: Float above 0, added to the variance.
        center: Whether to add `beta`.
        scale: Whether to multiply by `gamma`.
        beta_initializer: Initializer of `beta`.
        gamma_initializer: Initializer of `gamma`.
        beta_regularizer: Regularizer of `beta`, or `None`.
        gamma_regularizer: Regularizer of `gamma`, or `None`.
        beta_constraint: Constraint of `beta`, or `None`.
        gamma_constraint: Constraint of `gamma`, or `None`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: If `axis` is the batch axis or outside the inputs, `epsilon` is not above 0, the inputs have fewer
            than 3 axes, or their number of channels is unknown.

    Example:
    >>> import numpy as np
    >>> layer = InstanceNormalization()
    >>> images = np.random.default_rng(0).normal(3.0, 2.0, (2, 8, 8, 4))
    >>> outputs = keras.ops.convert_to_numpy(layer(images))
    >>> bool(abs(outputs.mean(axis=(1, 2))).max() < 1e-5)
    True

    Source:
        Ulyanov et al. 2016, arXiv:1607.08022, equation 2.
    """

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, int) or axis == 0:
            raise ValueError(
                f"{type(self).__name__} normalizes over all axes but the batch and the channel axis, so argument "
                f"`axis` must be an integer other than 0, the batch axis. Received: axis={axis!r}"
            )
        if not epsilon > 0:
            raise ValueError(
                f"Argument `epsilon` of {type(self).__name__} must be above 0. Received: epsilon={epsilon!r}"
            )
        self.axis = axis
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_constraint = keras.constraints.get(beta_constraint)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.supports_masking = True
        self.gamma = None
        self.beta = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `gamma` and `beta`, in this order."""
        self._check_shape(input_shape)
        channels = input_shape[self.axis]
        if channels is None:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} needs a known number of channels on axis {self.axis}. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        if self.scale:
            self.gamma = self.add_weight(
                name="gamma",
                shape=(channels,),
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center:
            self.beta = self.add_weight(
                name="beta",
                shape=(channels,),
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Normalizes the inputs.

        Args:
            inputs: Float tensor of rank 3 or more.
            mask: Positions that count, such as `(batch, time)` for `(batch, time, channels)`, or `None` for all.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        arguments = {"axis": self.axis, "epsilon": self.epsilon}
        if mask is not None:
            return kernels.reference("instance_normalization")(inputs, self.gamma, self.beta, mask=mask, **arguments)
        normalize = kernels.fastest("instance_normalization", kernels.Call.of(inputs, self.axis))
        return normalize(inputs, self.gamma, self.beta, **arguments)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Gives the shape of the inputs back."""
        self._check_shape(input_shape)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": keras.initializers.serialize(self.beta_initializer),
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "beta_regularizer": keras.regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": keras.regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": keras.constraints.serialize(self.beta_constraint),
            "gamma_constraint": keras.constraints.serialize(self.gamma_constraint),
        }

    def _check_shape(self, input_shape: tuple[int | None, ...]) -> None:
        rank = len(input_shape)
        if rank < 3:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} averages over positions, so it needs inputs with at least 3 axes "
                "(batch, positions..., channels); for dense features use keras.layers.LayerNormalization. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        if not -rank < self.axis < rank:
            raise ValueError(
                f"Argument `axis` of {type(self).__name__} {self.name!r} must name an axis of the inputs other than "
                f"the batch axis, from 1 to {rank - 1} or from -{rank - 1} to -1. "
                f"Received: axis={self.axis}, input_shape={tuple(input_shape)}"
            )
