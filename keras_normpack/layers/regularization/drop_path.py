"""Stochastic depth, per sample."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.regularization.drop_layer import DropLayer


@keras.saving.register_keras_serializable(package="keras_normpack")
class DropPath(DropLayer):
    """Drops the whole branch of a residual block for a random part of the samples.

    In training each sample of the inputs is set to 0 with probability `rate`, and divided by `1 - rate` otherwise, so
    that the expected value stays. At inference the inputs pass unchanged. It is put on the branch of a residual block:
    `x + DropPath(rate)(branch(x))`. `keras_normpack.callbacks.DropRateSchedule` changes the rate while training runs.

    Args:
        rate: Float in [0, 1), the share of samples to drop.
        seed: Integer, makes the draws repeatable; `None` for a random one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: If `rate` is outside [0, 1).

    Example:
    >>> import numpy as np
    >>> layer = DropPath(0.5, seed=0)
    >>> kept = keras.ops.convert_to_numpy(layer(np.ones((1000, 2, 2)), training=True))
    >>> sorted({float(value) for value in kept.ravel()})
    [0.0, 2.0]
    >>> bool(np.all(keras.ops.convert_to_numpy(layer(np.ones((1000, 2, 2)))) == 1))
    True

    Source:
        Huang et al. 2016, arXiv:1603.09382, equation 2 (there rescaled at inference instead of in training).
    """

    def drop(self, inputs: Any) -> Any:
        """Drops `current_rate` of the samples.

        Args:
            inputs: Float tensor, the batch first.

        Returns:
            A tensor of the shape of the inputs.
        """
        # Drawn in float32: uniform bfloat16 numbers are multiples of 1/128 and would shift the rate.
        one_per_sample = (ops.shape(inputs)[0],) + (1,) * (len(inputs.shape) - 1)
        draws = keras.random.uniform(one_per_sample, dtype="float32", seed=self.seed_generator)
        rate = ops.convert_to_tensor(self.current_rate)
        return ops.where(draws >= rate, inputs * ops.cast(1 / (1 - rate), inputs.dtype), 0)
