"""Filter response normalization."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import channels_on, check_positive
from keras_normpack.layers.normalization.channel_affine import ChannelAffine
from keras_normpack.statistics import align_mask, mean_over, position_axes, statistics_dtype

# Start of the learned part of epsilon: Singh & Krishnan 2020, section 3.
_INITIAL_LEARNED_EPSILON = 1e-4


@keras.saving.register_keras_serializable(package="keras_normpack")
class FilterResponseNormalization(ChannelAffine):
    """Divides each channel of each sample by the root of its mean square over all positions.

    `y = gamma · x / sqrt(mean(x²) + epsilon + |learned epsilon|) + beta`. No mean is taken off and no batch is needed;
    a `TLU` after it stands in for the ReLU. The mean square is float32 at least, also under mixed precision. Where the
    inputs carry a mask, masked positions do not count, and the mask goes on to the next layer.

    Args:
        epsilon: Float above 0, added to the mean square.
        axis: List of integers, the axes to average over, or `None` for all but the batch axis and the last one. The
            channels are on the last axis, or, where that is averaged over, on the only one that is not: `[2, 3]` for
            `(batch, channels, height, width)`.
        beta_initializer: Initializer of `beta`.
        gamma_initializer: Initializer of `gamma`.
        beta_regularizer: Regularizer of `beta`, or `None`.
        gamma_regularizer: Regularizer of `gamma`, or `None`.
        beta_constraint: Constraint of `beta`, or `None`.
        gamma_constraint: Constraint of `gamma`, or `None`.
        learned_epsilon: Whether to learn a part of epsilon that starts at 1e-4; for channels of few positions.
        learned_epsilon_constraint: Constraint of the learned part, or `None`.
        name: Name of the layer, or `None`.
        **kwargs: `center` and `scale`, whether to have `beta` and `gamma`, and arguments of `keras.layers.Layer`.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: If `epsilon` is not above 0, `axis` is no list of different axes of the inputs or does not leave
            out the batch axis and a channel axis, or the number of channels is unknown.

    Example:
    >>> import numpy as np
    >>> layer = FilterResponseNormalization()
    >>> images = np.random.default_rng(0).normal(3.0, 2.0, (2, 8, 8, 4))
    >>> outputs = keras.ops.convert_to_numpy(layer(images))
    >>> bool(abs((outputs**2).mean(axis=(1, 2)) - 1).max() < 1e-5)
    True

    Source:
        Singh & Krishnan 2020, arXiv:1911.09737, section 3. Constructor and order of the weights
        (learned epsilon, gamma, beta) are TensorFlow Addons's; gamma and beta have the shape `(channels,)` here.
    """

    def __init__(
        self,
        epsilon: float = 1e-6,
        axis: Sequence[int] | None = None,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        learned_epsilon: bool = False,
        learned_epsilon_constraint: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            name=name,
            **kwargs,
        )
        self.epsilon = check_positive(self, "epsilon", epsilon)
        self.axis = self._checked_axis(axis)
        self.learned_epsilon = learned_epsilon
        self.learned_epsilon_constraint = keras.constraints.get(learned_epsilon_constraint)
        self.eps_learned: Any = None
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the learned epsilon, `gamma` and `beta`, in this order."""
        _, channel_axis = self._axes(input_shape)
        channels = channels_on(self, input_shape, channel_axis, least_rank=3)
        if self.learned_epsilon:
            self.eps_learned = self.add_weight(
                name="learned_epsilon",
                shape=(1,),
                initializer=keras.initializers.Constant(_INITIAL_LEARNED_EPSILON),
                constraint=self.learned_epsilon_constraint,
                autocast=False,
            )
        self.add_affine_weights(channels)
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={channel_axis: channels})

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Normalizes the inputs.

        Args:
            inputs: Float tensor of rank 3 or more, such as `(batch, height, width, channels)`.
            mask: Positions that count, such as `(batch, time)` for `(batch, time, channels)`, or `None` for all.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        averaged, channel_axis = self._axes(inputs.shape)
        x = ops.cast(inputs, statistics_dtype(inputs))
        valid = None if mask is None else align_mask(mask, len(x.shape), channel_axis)
        denominator = mean_over(ops.square(x), averaged, valid) + self.epsilon
        if self.eps_learned is not None:
            denominator = denominator + ops.abs(ops.cast(self.eps_learned, x.dtype))
        return ops.cast(self.affine(x * ops.rsqrt(denominator), channel_axis), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Gives the shape of the inputs back."""
        _, channel_axis = self._axes(input_shape)
        channels_on(self, input_shape, channel_axis, least_rank=3)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "axis": self.axis,
            "learned_epsilon": self.learned_epsilon,
            "learned_epsilon_constraint": keras.constraints.serialize(self.learned_epsilon_constraint),
        }

    def _checked_axis(self, axis: Any) -> list[int] | None:
        if axis is None:
            return None
        is_list = isinstance(axis, list | tuple) and len(axis) > 0
        if not is_list or not all(isinstance(one, int) and not isinstance(one, bool) and one != 0 for one in axis):
            raise ValueError(
                f"Argument `axis` of {type(self).__name__} must be a list of the axes to average over, integers other "
                "than 0, the batch axis, or `None` for all but the batch axis and the last one. "
                f"Received: axis={axis!r}"
            )
        return list(axis)

    def _axes(self, input_shape: tuple[int | None, ...]) -> tuple[tuple[int, ...], int]:
        """Finds the axes to average over and the channel axis, counted from the front."""
        rank = len(input_shape)
        if self.axis is None:
            return position_axes(rank, -1), rank - 1
        averaged = tuple(sorted({one % rank for one in self.axis}))
        others = [other for other in range(1, rank) if other not in averaged]
        in_range = all(-rank < one < rank for one in self.axis)
        if not in_range or len(averaged) < len(self.axis) or not others or (len(others) > 1 and others[-1] < rank - 1):
            raise ValueError(
                f"Argument `axis` of {type(self).__name__} {self.name!r} must name different axes of the inputs other "
                "than the batch axis, and leave out the last axis, or exactly one other, for the channels. "
                f"Received: axis={self.axis}, input_shape={tuple(input_shape)}"
            )
        return averaged, others[-1]
