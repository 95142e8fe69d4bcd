"""Stochastic depth, per sample."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_normpack")
class DropPath(keras.layers.Layer):
    """Drops the whole branch of a residual block for a random part of the samples.

    In training each sample of the inputs is set to 0 with probability `rate`, and divided by `1 - rate` otherwise, so
    that the expected value stays. At inference the inputs pass unchanged. It is put on the branch of a residual block:
    `x + DropPath(rate)(branch(x))`.

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

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(
                f"Argument `rate` of {type(self).__name__} must be a float in [0, 1), the share of samples to drop. "
                f"Received: rate={rate!r}"
            )
        self.rate = rate
        self.seed = seed
        self.supports_masking = True
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drops samples in training.

        Args:
            inputs: Float tensor, the batch first.
            training: Whether to drop.

        Returns:
            A tensor of the shape of the inputs.
        """
        if not training or self.rate == 0:
            return inputs
        # Drawn in float32: uniform bfloat16 numbers are multiples of 1/128 and would shift the rate.
        one_per_sample = (ops.shape(inputs)[0],) + (1,) * (len(inputs.shape) - 1)
        draws = keras.random.uniform(one_per_sample, dtype="float32", seed=self.seed_generator)
        return ops.where(draws >= self.rate, inputs / (1 - self.rate), 0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Gives the shape of the inputs back."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
