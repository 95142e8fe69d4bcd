"""Dropout that stays on at inference."""

from typing import Any

import keras
from keras import ops

from keras_normpack.layers.regularization.inference_draws import draws_as_an_operator, uniform_operator


@keras.saving.register_keras_serializable(package="keras_normpack")
class MonteCarloDropout(keras.layers.Dropout):
    """Drops at inference as in training, so that repeated predictions show how uncertain the model is.

    `y = x · b / (1 - rate)` with `b` 0 with probability `rate` and 1 otherwise. `keras_normpack.mc_predict` gives mean
    and deviation over many predictions, and does so for models with plain `keras.layers.Dropout`, too. Exported to
    TFLite, it goes on dropping on the phone, without Flex operators.

    Args:
        rate: Float in [0, 1], the share of activations to drop.
        noise_shape: Tuple of integers or `None`, the shape of `b`, broadcast to that of the inputs; `None` for theirs.
        seed: Integer, makes the draws repeatable; `None` for a random one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: If `rate` is outside [0, 1], or `noise_shape` is not one.

    Example:
    >>> import numpy as np
    >>> layer = MonteCarloDropout(0.5, seed=0)
    >>> outputs = keras.ops.convert_to_numpy(layer(np.ones((100, 10)), training=False))
    >>> sorted({float(value) for value in outputs.ravel()})
    [0.0, 2.0]

    Source:
        Gal & Ghahramani 2016, arXiv:1506.02142, section 3.
    """

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Drops, whether in training or not.

        Args:
            inputs: Float tensor.
            training: Whether it is a training step; it drops either way.

        Returns:
            A tensor of the shape of the inputs.
        """
        if training or not 0 < self.rate < 1 or not draws_as_an_operator():
            return super().call(inputs, training=True)
        sizes = ops.shape(inputs)
        fixed = self.noise_shape or (None,) * len(sizes)
        shape = [size if given is None else given for size, given in zip(sizes, fixed, strict=True)]
        return ops.where(uniform_operator(shape, self.seed) >= self.rate, inputs / (1 - self.rate), 0)
