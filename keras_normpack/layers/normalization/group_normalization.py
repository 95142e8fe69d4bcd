"""Group normalization: Keras's, faster and with masks."""

import math
from typing import Any

import keras
from keras import ops

from keras_normpack import kernels
from keras_normpack.layers.arguments import channels_on, check_axis, check_within


@keras.saving.register_keras_serializable(package="keras_normpack")
class GroupNormalization(keras.layers.GroupNormalization):
    """Keras's group normalization, with a fused kernel where one is faster, and masks.

    `y = gamma · (x - mean) / sqrt(variance + epsilon) + beta` with mean and variance per sample and group of channels,
    over all positions. Arguments, config, weights and results are those of `keras.layers.GroupNormalization`: what one
    of the two has saved, its configuration and its weights, the other loads.

    It differs from Keras's layer where that one errs: positions that a mask hides do not count; `groups=-1` stays so in
    the config, for inputs of another number of channels; axes and groups that do not fit raise.

    Args:
        groups: Integer, number of groups, a divisor of the number of channels; `-1` for one group per channel.
        axis: Integer, the channel axis; not the batch axis. `-1` for `(batch, height, width, channels)`, `1` for
            `(batch, channels, height, width)`.
        epsilon: Float, added to the variance.
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
        ValueError: If `groups` is neither -1 nor an integer from 1 or does not divide the number of channels, `axis` is
            the batch axis or outside the inputs, the number of channels is unknown, or `epsilon` is below 0.

    Example:
    >>> import numpy as np
    >>> images = np.random.default_rng(0).normal(3.0, 2.0, (2, 8, 8, 6))
    >>> outputs = keras.ops.convert_to_numpy(GroupNormalization(groups=2)(images))
    >>> bool(abs(outputs[..., :3].mean(axis=(1, 2, 3))).max() < 1e-5)
    True

    Source:
        Wu & He 2018, arXiv:1803.08494, equations 1 to 6.
    """

    groups: int

    def __init__(
        self,
        groups: int = 32,
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
        check_within(self, "epsilon", epsilon, 0)
        super().__init__(
            groups=groups,
            axis=check_axis(self, axis),
            epsilon=epsilon,
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

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `gamma` and `beta`, in this order."""
        channels = channels_on(self, input_shape, self.axis)
        if self.groups != -1 and channels % self.groups:
            divisor = math.gcd(self.groups, channels)
            largest = max(divisor for divisor in range(1, min(self.groups, channels) + 1) if channels % divisor == 0)
            raise ValueError(
                f"Argument `groups` of {type(self).__name__} {self.name!r} must divide the number of channels, "
                f"{channels}: the most that do are {largest}, the largest common divisor is {divisor}; -1 makes one "
                f"group per channel. Received: groups={self.groups}, input_shape={tuple(input_shape)}"
            )
        groups = self.groups
        super().build(input_shape)
        # Keras puts the number of channels in place of -1, and would save that.
        self.groups = groups

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Normalizes the inputs.

        Args:
            inputs: Float tensor of any rank from 2.
            mask: Positions that count, such as `(batch, time)` for `(batch, time, channels)`, or `None` for all.
            training: Whether gradients will be asked for; then kernels are used, with the same results to rounding.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        arguments = {
            "groups": inputs.shape[self.axis] if self.groups == -1 else self.groups,
            "axis": self.axis,
            "epsilon": self.epsilon,
        }
        if mask is None:
            normalize = kernels.fastest("group_normalization", kernels.Call.of(inputs, self.axis, training))
            outputs = normalize(inputs, self.gamma, self.beta, **arguments)
        else:
            normalize = kernels.reference("group_normalization")
            outputs = normalize(inputs, self.gamma, self.beta, mask=mask, **arguments)
        return ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Gives the shape of the inputs back."""
        channels_on(self, input_shape, self.axis)
        return tuple(input_shape)
