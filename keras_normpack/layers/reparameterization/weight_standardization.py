"""Weight standardization as a wrapper."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.arguments import check_positive
from keras_normpack.layers.reparameterization.kernel_axes import LINEAR_LAYERS, KernelAxes, kernels_of
from keras_normpack.layers.reparameterization.kernel_wrapper import KernelWrapper
from keras_normpack.statistics import moments_over


@keras.saving.register_keras_serializable(package="keras_normpack")
class WeightStandardization(KernelWrapper):
    """Gives a layer's kernel mean 0 and variance 1 per output channel.

    `w = (v - mean(v)) / sqrt(variance(v) + epsilon)` with mean and variance over the entries of each output channel;
    the direction v is the wrapped layer's own kernel variable, so its regularizer and constraint act on v. This plain
    form is for layers that a normalization follows, such as `GroupNormalization` at small batches, which takes care of
    the scale.

    With `gain` it is scaled for networks without normalization (NF-nets):
    `w = g · (v - mean(v)) / sqrt(fan_in · (variance(v) + epsilon))` with one learned g per output channel, which begins
    at `gain`. Inputs of mean 0 and variance 1 then come out with variance gain². To make up for the activation before
    the layer, begin at its gain: sqrt(2 / (1 - 1/π)) ≈ 1.7139 for ReLU.

    Wrapping changes what the layer computes, unlike `WeightNormalization`.

    Args:
        layer: The layer to wrap: Dense, EinsumDense, Conv1D to 3D, their transposed forms, DepthwiseConv or
            SeparableConv.
        gain: Float above 0, where the learned gain of the scaled form begins; `None` for the plain form.
        epsilon: Float above 0, added to the variance. The variance of a kernel is about 1 / fan_in, so the epsilon is
            much smaller than that of a normalization of activations.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`; `dtype` is the wrapped layer's unless given.

    Returns:
        What the wrapped layer returns.

    Raises:
        ValueError: If the layer is of another class, is quantized or has LoRA enabled, `gain` or `epsilon` is not above
            0, or an output channel has only one kernel entry.

    Example:
    >>> import numpy as np
    >>> layer = WeightStandardization(keras.layers.Conv2D(4, 3))
    >>> outputs = layer(np.ones((1, 8, 8, 5)))
    >>> kernel = keras.ops.convert_to_numpy(layer.remove().kernel)
    >>> bool(abs(kernel.mean(axis=(0, 1, 2))).max() < 1e-6), bool(abs(kernel.std(axis=(0, 1, 2)) - 1).max() < 1e-3)
    (True, True)

    Source:
        Qiao et al. 2019, arXiv:1903.10520, equations 7 and 8; scaled: Brock et al. 2021, arXiv:2101.08692, equation 1,
        with the learned gain of Brock et al. 2021, arXiv:2102.06171.
    """

    kinds = LINEAR_LAYERS

    def __init__(
        self, layer: keras.layers.Layer, gain: float | None = None, epsilon: float = 1e-6, **kwargs: Any
    ) -> None:
        super().__init__(layer, **kwargs)
        self.gain = None if gain is None else check_positive(self, "gain", gain)
        self.epsilon = check_positive(self, "epsilon", epsilon)

    def build(self, input_shape: Any = None) -> None:
        """Builds the wrapped layer and, in the scaled form, creates one gain per kernel and output channel."""
        super().build(input_shape)
        kernels = kernels_of(self.layer)
        for kernel in kernels:
            self._check_entries(kernel)
        if self.gain is None:
            return
        self._gains = [
            self.add_weight(
                name="g" if len(kernels) == 1 else kernel.weight_name("g"),
                shape=kernel.shape(self.layer),
                initializer=keras.initializers.Constant(self.gain),
                autocast=False,
            )
            for kernel in kernels
        ]

    def kernel_value(self, position: int, kernel: KernelAxes, variable: Any) -> Any:
        """Computes the standardized kernel, scaled if there is a gain."""
        mean, variance = moments_over(variable, kernel.summed(self.layer))
        if self.gain is None:
            return (variable - mean) * ops.rsqrt(variance + self.epsilon)
        gain = ops.reshape(ops.cast(self._gains[position], variance.dtype), variance.shape)
        return (variable - mean) * (gain * ops.rsqrt(kernel.fan_in(self.layer) * (variance + self.epsilon)))

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the wrapper was made with."""
        return {**super().get_config(), "gain": self.gain, "epsilon": self.epsilon}

    def _check_entries(self, kernel: KernelAxes) -> None:
        if kernel.fan_in(self.layer) < 2:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} needs at least 2 kernel entries per output channel of layer "
                f"{self.layer.name!r}, since a single one is equal to its mean and the kernel would be 0. "
                f"Received: {kernel.path} of shape {tuple(kernel.variable(self.layer).shape)}"
            )
