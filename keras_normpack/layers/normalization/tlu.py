"""Thresholded linear unit."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import channels_on, check_axis
from keras_normpack.statistics import per_channel


@keras.saving.register_keras_serializable(package="keras_normpack")
class TLU(keras.layers.Layer):
    """A ReLU whose threshold is learned, per channel.

    `y = max(x, tau)`, or with `affine` `y = max(x, alpha · x + tau)`. It follows a `FilterResponseNormalization`, which
    does not center its outputs; at first it is a ReLU.

    Args:
        affine: Whether the lower branch has a slope `alpha`, too.
        tau_initializer: Initializer of `tau`.
        tau_regularizer: Regularizer of `tau`, or `None`.
        tau_constraint: Constraint of `tau`, or `None`.
        alpha_initializer: Initializer of `alpha`.
        alpha_regularizer: Regularizer of `alpha`, or `None`.
        alpha_constraint: Constraint of `alpha`, or `None`.
        axis: Integer, the channel axis; not the batch axis.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: If `axis` is the batch axis or outside the inputs, or their number of channels is unknown.

    Example:
    >>> layer = TLU(tau_initializer=keras.initializers.Constant(-1.0))
    >>> outputs = layer(keras.ops.array([[-3.0, -0.5, 2.0]]))
    >>> [float(value) for value in outputs[0]]
    [-1.0, -0.5, 2.0]

    Source:
        Singh & Krishnan 2020, arXiv:1911.09737, section 3. Constructor and order of the weights are TensorFlow
        Addons's, which has one `tau` per position and channel; here it is one per channel, as in the paper.
    """

    def __init__(
        self,
        affine: bool = False,
        tau_initializer: Any = "zeros",
        tau_regularizer: Any = None,
        tau_constraint: Any = None,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        axis: int = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.affine = affine
        self.tau_initializer = keras.initializers.get(tau_initializer)
        self.tau_regularizer = keras.regularizers.get(tau_regularizer)
        self.tau_constraint = keras.constraints.get(tau_constraint)
        self.alpha_initializer = keras.initializers.get(alpha_initializer)
        self.alpha_regularizer = keras.regularizers.get(alpha_regularizer)
        self.alpha_constraint = keras.constraints.get(alpha_constraint)
        self.axis = check_axis(self, axis)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates `tau` and, with `affine`, `alpha`, in this order."""
        channels = channels_on(self, input_shape, self.axis)
        self.tau = self.add_weight(
            name="tau",
            shape=(channels,),
            initializer=self.tau_initializer,
            regularizer=self.tau_regularizer,
            constraint=self.tau_constraint,
        )
        if self.affine:
            self.alpha = self.add_weight(
                name="alpha",
                shape=(channels,),
                initializer=self.alpha_initializer,
                regularizer=self.alpha_regularizer,
                constraint=self.alpha_constraint,
            )
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: Any) -> Any:
        """Applies the threshold.

        Args:
            inputs: Float tensor of rank 2 or more, such as `(batch, height, width, channels)`.

        Returns:
            A tensor of the shape of the inputs.
        """
        lower = per_channel(self.tau, inputs, self.axis)
        if self.affine:
            lower = lower + per_channel(self.alpha, inputs, self.axis) * inputs
        # Cast, since on JAX and torch Keras makes float32 of the larger of two float64 tensors.
        return ops.cast(ops.maximum(inputs, lower), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Gives the shape of the inputs back."""
        channels_on(self, input_shape, self.axis)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {
            **super().get_config(),
            "affine": self.affine,
            "tau_initializer": keras.initializers.serialize(self.tau_initializer),
            "tau_regularizer": keras.regularizers.serialize(self.tau_regularizer),
            "tau_constraint": keras.constraints.serialize(self.tau_constraint),
            "alpha_initializer": keras.initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": keras.regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": keras.constraints.serialize(self.alpha_constraint),
            "axis": self.axis,
        }
