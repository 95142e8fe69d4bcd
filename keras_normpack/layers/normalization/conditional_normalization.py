"""Normalization with scale and offset from a condition."""

import inspect
from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import channels_on, check_axis
from keras_normpack.layers.normalization.two_inputs import first_mask, two_shapes


@keras.saving.register_keras_serializable(package="keras_normpack")
class ConditionalNormalization(keras.layers.Wrapper):
    """Scales and shifts what a normalization layer returns as a second input says.

    `y = (1 + γ(c)) · norm(x) + β(c)`, where γ and β are learned linear functions of the condition c, one value per
    channel each. Both start at 0, so that the layer begins as the normalization alone. It is called on both inputs,
    `layer([inputs, condition])`. With batch normalization this is conditional batch normalization, with instance
    normalization the conditional form of style transfer, with any a FiLM layer.

    The wrapped layer is best made with `center=False, scale=False`, since the condition's bias does their part; those
    of a trained layer are kept and modulated. The inputs' mask reaches the wrapped layer, where that takes one, and
    goes on to the next layer.

    Args:
        layer: The normalization layer, Keras's or of this package; its outputs have the shape of its inputs.
        axis: Integer, the channel axis; `None` for the wrapped layer's `axis` where that is an integer, and for the
            last one where it has none.
        use_bias: Whether γ and β have a part that does not depend on the condition.
        kernel_initializer: Initializer of the linear map, `(condition features, 2 · channels)`, γ first.
        bias_initializer: Initializer of its bias.
        kernel_regularizer: Regularizer of the linear map, or `None`.
        bias_regularizer: Regularizer of its bias, or `None`.
        kernel_constraint: Constraint of the linear map, or `None`.
        bias_constraint: Constraint of its bias, or `None`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`; `dtype` is the wrapped layer's unless given.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: If `layer` is no layer, `axis` is the batch axis or outside the inputs, or is `None` while the
            wrapped layer has a list of them; if a number of channels is unknown; or if the condition is neither
            `(batch, features)` nor as the inputs are, with its features on the channel axis and positions of the same
            size or 1.

    Example:
    A class as condition goes through an embedding.

    >>> images, label = keras.Input((8, 8, 4)), keras.Input((), dtype="int32")
    >>> normalization = keras.layers.GroupNormalization(2, center=False, scale=False)
    >>> layer = ConditionalNormalization(normalization)
    >>> outputs = layer([images, keras.layers.Embedding(10, 16)(label)])
    >>> outputs.shape, [tuple(weight.shape) for weight in layer.weights]
    ((None, 8, 8, 4), [(16, 8), (8,)])

    Source:
        de Vries et al. 2017, arXiv:1707.00683, section 3 (changes of γ and β from a condition); Perez et al. 2018,
        arXiv:1709.07871, equations 1 and 2.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        axis: int | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "zeros",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(
                f"Argument `layer` of {type(self).__name__} must be a normalization layer. Received: layer={layer!r}"
            )
        super().__init__(layer, **{"dtype": layer.dtype_policy, **kwargs})
        self.axis = self._axis_of(layer) if axis is None else check_axis(self, axis)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        """Builds the wrapped layer and the linear map."""
        inputs, condition = self._checked_shapes(input_shape)
        super().build(inputs)
        self.projection = keras.layers.Dense(
            2 * channels_on(self, inputs, self.axis),
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
            name="projection",
        )
        self.projection.build((None, condition[self._condition_axis(condition)]))

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Normalizes the inputs, scaled and shifted by the condition.

        Args:
            inputs: List of the inputs, such as `(batch, height, width, channels)`, and the condition,
                `(batch, features)` or such as `(batch, height, width, features)`.
            mask: List of the positions of the inputs that count, such as `(batch, time)`, or `None` for all, and of
                what there is for the condition, which is not used; or `None`.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        inputs, condition = inputs
        takes_mask = "mask" in inspect.signature(self.layer.call).parameters
        normalized = self.layer(inputs, mask=first_mask(mask)) if takes_mask else self.layer(inputs)
        axis = self.axis % len(inputs.shape)
        scale, offset = ops.split(self._projected(condition, len(inputs.shape), axis), 2, axis=axis)
        return ops.cast(normalized, self.compute_dtype) * (1 + scale) + offset

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Hands the inputs' mask on."""
        return first_mask(previous_mask)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Gives the shape of the inputs back."""
        inputs, _ = self._checked_shapes(input_shape)
        return inputs

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Makes a layer from its config, which stays as it is: Keras's `Wrapper` would take the wrapped layer out."""
        return super().from_config(dict(config), custom_objects)

    def _axis_of(self, layer: keras.layers.Layer) -> int:
        axis = getattr(layer, "axis", None)
        if isinstance(axis, list | tuple):
            raise ValueError(
                f"Argument `axis` of {type(self).__name__} must name the channel axis, since `axis` of the wrapped "
                f"{type(layer).__name__} is a list, {axis}. Received: axis=None"
            )
        return -1 if axis is None else axis

    def _condition_axis(self, condition: tuple[int | None, ...]) -> int:
        return -1 if len(condition) == 2 else self.axis

    def _projected(self, condition: Any, rank: int, axis: int) -> Any:
        """Computes γ and β side by side on the channel axis, in the rank of the inputs."""
        if len(condition.shape) == 2:
            sizes = [-1] + [self.projection.units if other == axis else 1 for other in range(1, rank)]
            return ops.reshape(self.projection(condition), sizes)
        return ops.moveaxis(self.projection(ops.moveaxis(condition, axis, -1)), -1, axis)

    def _checked_shapes(self, input_shape: Any) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
        inputs, condition = two_shapes(self, input_shape, "[inputs, condition]")
        channels_on(self, inputs, self.axis)
        if len(condition) != 2 and not self._lines_up(inputs, condition):
            raise ValueError(
                f"{type(self).__name__} {self.name!r} needs a condition of shape (batch, features), or one with the "
                "axes of the inputs, its features on their channel axis and its positions of the same size or 1. "
                f"Received: input_shape={[inputs, condition]}"
            )
        channels_on(self, condition, self._condition_axis(condition))
        return inputs, condition

    def _lines_up(self, inputs: tuple[int | None, ...], condition: tuple[int | None, ...]) -> bool:
        return len(inputs) == len(condition) and all(
            None in (theirs, ours) or theirs in (1, ours)
            for axis, (ours, theirs) in enumerate(zip(inputs, condition, strict=True))
            if axis not in (0, self.axis % len(inputs))
        )
