"""Dynamic tanh."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import channels_on, check_axis, check_positive
from keras_normpack.layers.normalization.channel_affine import ChannelAffine
from keras_normpack.statistics import statistics_dtype


@keras.saving.register_keras_serializable(package="keras_normpack")
class DynamicTanh(ChannelAffine):
    """Stands in for layer normalization without computing any statistics.

    `y = gamma · tanh(alpha · x) + beta` with one learned `alpha` for the layer, and gamma and beta per channel.

    Args:
        axis: Integer, the channel axis; not the batch axis.
        alpha_initial_value: Float above 0, where `alpha` starts. The paper uses 0.5 except in large language models,
            which want less, and more in attention blocks than elsewhere.
        **kwargs: `center` and `scale`, whether to have `beta` and `gamma`; `beta_initializer`, `gamma_initializer`,
            `beta_regularizer`, `gamma_regularizer`, `beta_constraint` and `gamma_constraint`; and arguments of
            `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: If `axis` is the batch axis or outside the inputs, `alpha_initial_value` is not above 0, or the
            number of channels is unknown.

    Example:
    >>> layer = DynamicTanh()
    >>> outputs = layer(keras.ops.array([[-100.0, 0.0, 0.2, 100.0]]))
    >>> [round(float(value), 3) for value in outputs[0]]
    [-1.0, 0.0, 0.1, 1.0]

    Source:
        Zhu et al. 2025, arXiv:2503.10622, section 4 and algorithm 1; `alpha_initial_value`: section 7.
    """

    def __init__(self, axis: int = -1, alpha_initial_value: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = check_axis(self, axis)
        self.alpha_initial_value = check_positive(self, "alpha_initial_value", alpha_initial_value)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `alpha`, `gamma` and `beta`, in this order."""
        channels = channels_on(self, input_shape, self.axis)
        self.alpha = self.add_weight(
            name="alpha",
            shape=(),
            initializer=keras.initializers.Constant(self.alpha_initial_value),
            autocast=False,
        )
        self.add_affine_weights(channels)
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: Any) -> Any:
        """Squashes the inputs.

        Args:
            inputs: Float tensor of rank 2 or more, such as `(batch, time, features)`.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        x = ops.cast(inputs, statistics_dtype(inputs))
        squashed = ops.tanh(ops.cast(self.alpha, x.dtype) * x)
        return ops.cast(self.affine(squashed, self.axis), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Gives the shape of the inputs back."""
        channels_on(self, input_shape, self.axis)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "axis": self.axis, "alpha_initial_value": self.alpha_initial_value}
