"""Adaptive instance normalization."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import channels_on, check_axis, check_positive
from keras_normpack.layers.normalization.two_inputs import first_mask, two_shapes
from keras_normpack.statistics import align_mask, moments_over, position_axes, statistics_dtype


@keras.saving.register_keras_serializable(package="keras_normpack")
class AdaptiveInstanceNormalization(keras.layers.Layer):
    """Gives each channel of a content the mean and the deviation that it has in a style.

    `y = σ(style) · (content - μ(content)) / σ(content) + μ(style)` with mean μ and `σ = sqrt(variance + epsilon)` per
    sample and channel, over all positions. It is called on both, `layer([content, style])`, which may differ in size,
    and has no weights. Statistics are float32 at least, also under mixed precision. Masked positions of either do not
    count, and the content's mask goes on to the next layer.

    Args:
        axis: Integer, the channel axis of both; not the batch axis. `-1` for `(batch, height, width, channels)`, `1`
            for `(batch, channels, height, width)`.
        epsilon: Float above 0, added to the variances.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the content.

    Raises:
        ValueError: If `axis` is the batch axis or outside the inputs, `epsilon` is not above 0, or the inputs are not
            two of the same rank, 3 or more, and the same, known number of channels.

    Example:
    >>> import numpy as np
    >>> generator = np.random.default_rng(0)
    >>> content, style = generator.normal(0.0, 1.0, (2, 8, 8, 3)), generator.normal(5.0, 2.0, (2, 6, 4, 3))
    >>> outputs = keras.ops.convert_to_numpy(AdaptiveInstanceNormalization()([content, style]))
    >>> outputs.shape, bool(np.allclose(outputs.mean(axis=(1, 2)), style.mean(axis=(1, 2)), atol=1e-4))
    ((2, 8, 8, 3), True)

    Source:
        Huang & Belongie 2017, arXiv:1703.06868, equation 8.
    """

    def __init__(self, axis: int = -1, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = check_axis(self, axis)
        self.epsilon = check_positive(self, "epsilon", epsilon)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Checks the shapes; there are no weights."""
        content, _ = self._checked_shapes(input_shape)
        channels = {self.axis: content[self.axis]}
        self.input_spec = [keras.layers.InputSpec(ndim=len(content), axes=channels) for _ in range(2)]

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Carries the style's statistics over to the content.

        Args:
            inputs: List of content and style, such as `(batch, height, width, channels)` each.
            mask: List of the positions of each that count, or of `None`; or `None` for all.

        Returns:
            A tensor of the shape of the content, in the compute dtype.
        """
        content, style = inputs
        content_mask, style_mask = (None, None) if mask is None else mask
        x = ops.cast(content, statistics_dtype(content))
        mean, deviation = self._statistics(x, content_mask)
        style_mean, style_deviation = self._statistics(ops.cast(style, x.dtype), style_mask)
        scale = style_deviation / deviation
        return ops.cast(x * scale + (style_mean - mean * scale), content.dtype)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Hands the content's mask on."""
        return first_mask(previous_mask)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Gives the shape of the content back."""
        content, _ = self._checked_shapes(input_shape)
        return content

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}

    def _statistics(self, x: Any, mask: Any) -> tuple[Any, Any]:
        rank = len(x.shape)
        valid = None if mask is None else align_mask(mask, rank, self.axis)
        mean, variance = moments_over(x, position_axes(rank, self.axis), valid)
        return mean, ops.sqrt(variance + self.epsilon)

    def _checked_shapes(self, input_shape: Any) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
        content, style = two_shapes(self, input_shape, "[content, style]")
        channels = [channels_on(self, shape, self.axis, least_rank=3) for shape in (content, style)]
        if len(content) != len(style) or channels[0] != channels[1]:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} needs a content and a style with the same number of axes and the "
                f"same number of channels on axis {self.axis}. Received: input_shape={[content, style]}"
            )
        return content, style
