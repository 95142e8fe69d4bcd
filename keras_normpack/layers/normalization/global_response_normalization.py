"""Global response normalization."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import channels_on, check_axis, check_positive
from keras_normpack.layers.normalization.channel_affine import ChannelAffine
from keras_normpack.statistics import align_mask, position_axes, statistics_dtype


@keras.saving.register_keras_serializable(package="keras_normpack")
class GlobalResponseNormalization(ChannelAffine):
    """Scales each channel by how strongly it responds in a sample, compared with the sample's other channels.

    `y = gamma · (x · n) + beta + x` with `n = g / (mean of g over channels + epsilon)` and `g = sqrt(sum(x²))` over all
    positions of a channel. Gamma and beta start at 0, so that the layer begins as the identity. Norms are float32 at
    least, also under mixed precision. Where the inputs carry a mask, masked positions do not count, and the mask goes
    on to the next layer.

    Args:
        axis: Integer, the channel axis; not the batch axis. `-1` for `(batch, height, width, channels)`, `1` for
            `(batch, channels, height, width)`.
        epsilon: Float above 0, added to the mean norm.
        beta_initializer: Initializer of `beta`.
        gamma_initializer: Initializer of `gamma`.
        **kwargs: `center` and `scale`, whether to have `beta` and `gamma`; `beta_regularizer`, `gamma_regularizer`,
            `beta_constraint` and `gamma_constraint`; and arguments of `keras.layers.Layer`, such as `name`.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: If `axis` is the batch axis or outside the inputs, `epsilon` is not above 0, the inputs have fewer
            than 3 axes, or their number of channels is unknown.

    Example:
    A channel that responds more than the average is raised, the others are lowered.

    >>> import numpy as np
    >>> layer = GlobalResponseNormalization(gamma_initializer="ones")
    >>> outputs = layer(np.ones((1, 4, 4, 2)) * [3.0, 1.0])
    >>> [round(float(value), 3) for value in outputs[0, 0, 0]]
    [7.5, 1.5]

    Source:
        Woo et al. 2023, arXiv:2301.00808, equations 1 to 3 and algorithm 1.
    """

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-6,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(beta_initializer=beta_initializer, gamma_initializer=gamma_initializer, **kwargs)
        self.axis = check_axis(self, axis)
        self.epsilon = check_positive(self, "epsilon", epsilon)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `gamma` and `beta`, in this order."""
        channels = channels_on(self, input_shape, self.axis, least_rank=3)
        self.add_affine_weights(channels)
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Normalizes the inputs.

        Args:
            inputs: Float tensor of rank 3 or more.
            mask: Positions that count, such as `(batch, time)` for `(batch, time, channels)`, or `None` for all.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        x = ops.cast(inputs, statistics_dtype(inputs))
        rank = len(x.shape)
        counted = x if mask is None else ops.where(align_mask(mask, rank, self.axis), x, 0)
        squares = ops.sum(ops.square(counted), axis=position_axes(rank, self.axis), keepdims=True)
        norms = _sqrt_with_gradient_0_at_0(squares)
        relative = norms / (ops.mean(norms, axis=self.axis, keepdims=True) + self.epsilon)
        return ops.cast(self.affine(x * relative, self.axis) + x, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Gives the shape of the inputs back."""
        channels_on(self, input_shape, self.axis, least_rank=3)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


def _sqrt_with_gradient_0_at_0(squares: Any) -> Any:
    # A channel that is 0 everywhere would get the gradient 0 / 0.
    above_0 = squares > 0
    return ops.where(above_0, ops.sqrt(ops.where(above_0, squares, 1)), 0)
