"""Batch normalization that runs fused where that is faster."""

from typing import Any

import keras
from keras import ops

from keras_normpack import kernels


@keras.saving.register_keras_serializable(package="keras_normpack")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization, with a fused kernel in training where one is faster.

    `y = gamma · (x - mean) / sqrt(variance + epsilon) + beta` with mean and variance of the batch in training, and
    their moving averages at inference. Arguments, weights, config and results are those of
    `keras.layers.BatchNormalization`; the two are interchangeable in a saved model. The kernel is used for training
    calls without mask, synchronization or renormalization, on shapes and dtypes for which it was measured to be
    faster; every other call is Keras's own. XLA puts code of its own in the kernel's place, so on a CPU the gain needs
    `model.compile(..., jit_compile=False)`; Keras's default there is to compile.

    Args:
        axis: Integer, the channel axis. `-1` for `(batch, height, width, channels)`, `1` for
            `(batch, channels, height, width)`.
        **kwargs: The other arguments of `keras.layers.BatchNormalization`: `momentum`, `epsilon`, `center`, `scale`,
            `synchronized`, `renorm`, initializers, regularizers, constraints, `name`, `dtype` and so on.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: As `keras.layers.BatchNormalization` does.

    Example:
    >>> import numpy as np
    >>> layer = BatchNormalization()
    >>> images = np.random.default_rng(0).normal(3.0, 2.0, (32, 16, 16, 32)).astype("float32")
    >>> outputs = keras.ops.convert_to_numpy(layer(images, training=True))
    >>> outputs.shape, bool(abs(outputs.mean()) < 1e-4), round(float(outputs.std()), 2)
    ((32, 16, 16, 32), True, 1.0)

    Source:
        Ioffe & Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes the inputs.

        Args:
            inputs: Float tensor of any rank from 2.
            training: Whether to use, and to average, the statistics of this batch.
            mask: Positions that count, one axis less than the inputs, or `None` for all.

        Returns:
            A tensor of the shape of the inputs, in the compute dtype.
        """
        fused = self._fused_kernel(inputs) if training and self.trainable and mask is None else None
        if fused is None:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = fused(inputs, self.gamma, self.beta, axis=self.axis, epsilon=self.epsilon)
        self._average(self.moving_mean, mean)
        self._average(self.moving_variance, variance)
        return ops.cast(outputs, self.compute_dtype)

    def _fused_kernel(self, inputs: Any) -> Any:
        if self.synchronized or self.renorm:
            return None
        return kernels.choose("batch_normalization", kernels.Call.of(inputs, self.axis))

    def _average(self, moving: Any, batch: Any) -> None:
        moving.assign(ops.cast(moving, batch.dtype) * self.momentum + batch * (1.0 - self.momentum))
