"""Layer normalization: Keras's, faster."""

from typing import Any

import keras
from keras import ops

from keras_normpack import kernels
from keras_normpack.layers.arguments import check_within
from keras_normpack.layers.normalization.normalized_axes import check_normalized_axes


@keras.saving.register_keras_serializable(package="keras_normpack")
class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's layer normalization, with a fused kernel where one is faster.

    `y = gamma · (x - mean) / sqrt(variance + epsilon) + beta` with mean and variance along `axis`, for each sample and
    position by itself. Arguments, config, weights and results are those of `keras.layers.LayerNormalization`: what one
    of the two has saved, its configuration and its weights, the other loads. A kernel is used where one single axis is
    normalized, on shapes and dtypes for which it was measured to be faster.

    Args:
        axis: Integer, or list of integers: the axes to normalize along, of known size.
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
        ValueError: If an axis is outside the inputs, or of unknown size, or `epsilon` is below 0.
        TypeError: If `axis` is no integer and no list of integers.

    Example:
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(3.0, 2.0, (2, 5, 64))
    >>> outputs = keras.ops.convert_to_numpy(LayerNormalization()(features))
    >>> bool(abs(outputs.mean(axis=-1)).max() < 1e-5)
    True

    Source:
        Ba et al. 2016, arXiv:1607.06450, equation 4.
    """

    def __init__(
        self,
        axis: int | list[int] | tuple[int, ...] = -1,
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
            axis=axis,
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
        check_normalized_axes(self, input_shape)
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Normalizes the inputs.

        Args:
            inputs: Float tensor of any rank from 2.
            training: Whether gradients will be asked for; then kernels are used, with the same results to rounding.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        kernel = self._kernel(inputs, training)
        if kernel is None:
            return super().call(inputs)
        outputs = kernel(inputs, self.gamma, self.beta, axis=self.axis[0], epsilon=self.epsilon)
        return ops.cast(outputs, self.compute_dtype)

    def _kernel(self, inputs: Any, training: bool | None) -> Any:
        if len(self.axis) > 1 or self.rms_scaling:
            return None
        call = kernels.Call.of(inputs, self.axis[0], training)
        if call.axis == len(call.shape) - 1:
            return kernels.choose("layer_normalization", call)
        # On torch, Keras's own fails along any axis but the last.
        return kernels.fastest("layer_normalization", call)
