"""Layer scale."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import channels_on, check_axis, check_positive
from keras_normpack.statistics import per_channel, statistics_dtype


@keras.saving.register_keras_serializable(package="keras_normpack")
class LayerScale(keras.layers.Layer):
    """Multiplies each channel by a learned scale that starts near 0.

    `y = gamma · x`. It ends the branch of a residual block, `x + LayerScale()(branch(x))`, so that a deep network
    begins near the identity and its blocks come in as they learn.

    Args:
        initial_value: Float above 0, where every entry of `gamma` starts. The paper uses 0.1 up to 18 blocks, 1e-5 up
            to 24, and 1e-6 beyond.
        axis: Integer, the channel axis; not the batch axis.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: If `initial_value` is not above 0, `axis` is the batch axis or outside the inputs, or their number
            of channels is unknown.

    Example:
    >>> layer = LayerScale(0.1)
    >>> outputs = layer(keras.ops.array([[1.0, -2.0, 3.0]]))
    >>> [round(float(value), 3) for value in outputs[0]]
    [0.1, -0.2, 0.3]

    Source:
        Touvron et al. 2021, arXiv:2103.17239, section 2. Keras's ConvNeXt has it as
        `LayerScale(init_values, projection_dim)`, where the latter is the number of channels.
    """

    def __init__(self, initial_value: float = 1e-5, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial_value = check_positive(self, "initial_value", initial_value)
        self.axis = check_axis(self, axis)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `gamma`."""
        channels = channels_on(self, input_shape, self.axis)
        self.gamma = self.add_weight(
            name="gamma",
            shape=(channels,),
            initializer=keras.initializers.Constant(self.initial_value),
            autocast=False,
        )
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: Any) -> Any:
        """Scales the inputs.

        Args:
            inputs: Float tensor of rank 2 or more, such as `(batch, time, features)`.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        # In float32 at least: 1e-5 has few digits in float16.
        x = ops.cast(inputs, statistics_dtype(inputs))
        return ops.cast(x * per_channel(self.gamma, x, self.axis), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Gives the shape of the inputs back."""
        channels_on(self, input_shape, self.axis)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "initial_value": self.initial_value, "axis": self.axis}
