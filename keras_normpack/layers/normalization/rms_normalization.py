"""RMS normalization: Keras's, with masks and any axis, and with the options of its weight."""

from typing import Any

import keras
from keras import ops

from keras_normpack import kernels
from keras_normpack.layers.arguments import check_within
from keras_normpack.layers.normalization.normalized_axes import as_axes, check_normalized_axes
from keras_normpack.statistics import statistics_dtype


@keras.saving.register_keras_serializable(package="keras_normpack")
class RMSNormalization(keras.layers.RMSNormalization):
    """Divides by the root of the mean square along an axis.

    `y = scale · x / sqrt(mean(x²) + epsilon)`, for each sample and position by itself; `(1 + scale)` in place of
    `scale` with `unit_offset=True`, as Gemma has it. Config, weight and, along the last axis, results are those of
    `keras.layers.RMSNormalization`: what one of the two has saved, its configuration and its weights, the other loads,
    where the arguments from `scale_initializer` on are left alone.

    It differs from Keras's layer where that one errs: a mask goes on to the next layer; along an axis other than the
    last one `scale` lies along that axis; `scale` is kept and applied in float32 under mixed precision.

    Args:
        axis: Integer, or list of integers: the axes to normalize along, of known size.
        epsilon: Float, added to the mean square.
        scale_initializer: Initializer of `scale`; `None` for ones, or zeros with `unit_offset`.
        scale_regularizer: Regularizer of `scale`, or `None`.
        scale_constraint: Constraint of `scale`, or `None`.
        unit_offset: Whether to multiply by `1 + scale`, so that weight decay pulls towards 1.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: If an axis is outside the inputs, or of unknown size, or `epsilon` is below 0.

    Example:
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(3.0, 2.0, (2, 5, 64))
    >>> outputs = keras.ops.convert_to_numpy(RMSNormalization()(features))
    >>> bool(abs((outputs**2).mean(axis=-1) - 1).max() < 1e-5)
    True

    Source:
        Zhang & Sennrich 2019, arXiv:1910.07467, equation 4; unit offset: Gemma Team 2024, arXiv:2403.08295, in its
        published code.
    """

    axis: Any

    def __init__(
        self,
        axis: int | list[int] | tuple[int, ...] = -1,
        epsilon: float = 1e-6,
        scale_initializer: Any = None,
        scale_regularizer: Any = None,
        scale_constraint: Any = None,
        unit_offset: bool = False,
        **kwargs: Any,
    ) -> None:
        check_within(self, "epsilon", epsilon, 0)
        super().__init__(axis=axis, epsilon=epsilon, **kwargs)
        self.unit_offset = unit_offset
        self.scale_initializer = None if scale_initializer is None else keras.initializers.get(scale_initializer)
        self.scale_regularizer = keras.regularizers.get(scale_regularizer)
        self.scale_constraint = keras.constraints.get(scale_constraint)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `scale`."""
        check_normalized_axes(self, input_shape)
        self.axis = sorted(as_axes(self.axis), key=lambda axis: axis % len(input_shape))
        self.scale = self.add_weight(
            name="scale",
            shape=tuple(input_shape[axis] for axis in self.axis),
            initializer=self.scale_initializer or ("zeros" if self.unit_offset else "ones"),
            regularizer=self.scale_regularizer,
            constraint=self.scale_constraint,
            autocast=False,
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Normalizes the inputs.

        Args:
            inputs: Float tensor of any rank from 2.
            training: Whether gradients will be asked for; then kernels are used, with the same results to rounding.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        if len(self.axis) > 1:
            return self._normalize_along_several_axes(inputs)
        (axis,) = self.axis
        normalize = kernels.fastest("rms_normalization", kernels.Call.of(inputs, axis, training))
        outputs = normalize(inputs, self._multiplier(), axis=axis, epsilon=self.epsilon)
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with; Keras's class takes them where all of its own are at default."""
        own = {
            "scale_initializer": self.scale_initializer and keras.initializers.serialize(self.scale_initializer),
            "scale_regularizer": keras.regularizers.serialize(self.scale_regularizer),
            "scale_constraint": keras.constraints.serialize(self.scale_constraint),
            "unit_offset": self.unit_offset,
        }
        return {**super().get_config(), **{key: value for key, value in own.items() if value}}

    def _multiplier(self) -> Any:
        return self.scale + 1 if self.unit_offset else self.scale

    def _normalize_along_several_axes(self, inputs: Any) -> Any:
        x = ops.cast(inputs, statistics_dtype(inputs))
        normalized = kernels.reference("rms_normalization")(x, None, axis=tuple(self.axis), epsilon=self.epsilon)
        normalized_axes = {axis % len(x.shape) for axis in self.axis}
        lined_up = tuple(size if axis in normalized_axes else 1 for axis, size in enumerate(x.shape))
        multiplier = ops.reshape(ops.cast(self._multiplier(), x.dtype), lined_up)
        return ops.cast(normalized * multiplier, self.compute_dtype)
