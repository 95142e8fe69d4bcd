"""Instance normalization."""

from typing import Any

import keras

from keras_normpack import kernels
from keras_normpack.layers.arguments import channels_on, check_axis, check_positive
from keras_normpack.layers.normalization.channel_affine import ChannelAffine


@keras.saving.register_keras_serializable(package="keras_normpack")
class InstanceNormalization(ChannelAffine):
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
        super().__init__(
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            **kwargs,
        )
        self.axis = check_axis(self, axis)
        self.epsilon = check_positive(self, "epsilon", epsilon)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `gamma` and `beta`, in this order."""
        channels = channels_on(self, input_shape, self.axis, least_rank=3)
        self.add_affine_weights(channels)
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Normalizes the inputs.

        Args:
            inputs: Float tensor of rank 3 or more.
            mask: Positions that count, such as `(batch, time)` for `(batch, time, channels)`, or `None` for all.
            training: Whether gradients will be asked for; then kernels are used, with the same results to rounding.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        arguments = {"axis": self.axis, "epsilon": self.epsilon}
        if mask is not None:
            return kernels.reference("instance_normalization")(inputs, self.gamma, self.beta, mask=mask, **arguments)
        normalize = kernels.fastest("instance_normalization", kernels.Call.of(inputs, self.axis, training))
        return normalize(inputs, self.gamma, self.beta, **arguments)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Gives the shape of the inputs back."""
        channels_on(self, input_shape, self.axis, least_rank=3)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}
