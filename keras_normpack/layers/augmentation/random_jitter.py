"""Noise on series."""

from typing import Any, ClassVar

import keras
from keras import ops

from keras_normpack.layers.arguments import check_positive
from keras_normpack.layers.augmentation.augmentation_layer import AugmentationLayer
from keras_normpack.layers.augmentation.time_steps import SERIES_SHAPES, beside


@keras.saving.register_keras_serializable(package="keras_normpack")
class RandomJitter(AugmentationLayer):
    """Adds normal noise to series, as that of a sensor.

    `y = x + n` with `n` drawn from a normal distribution of mean 0 and deviation `stddev` for each value. Active in
    training only; a call that does not say `training=False` is one in training. `keras.layers.GaussianNoise` adds such
    noise within a network; this layer is for data: it takes any deviation, works in `dataset.map(layer)`, and leaves
    masked steps as they are.

    Args:
        stddev: Float above 0, in the unit of the inputs.
        seed: Integer, makes the draws repeatable; `None` for a random one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs, `(batch, time)` or `(batch, time, channels)`.

    Raises:
        ValueError: If `stddev` is not above 0, or the inputs have another number of axes or are not floats.

    Example:
    >>> import numpy as np
    >>> noise = keras.ops.convert_to_numpy(RandomJitter(3.0, seed=0)(np.zeros((10, 1000))))
    >>> bool(abs(noise.std() - 3.0) < 0.1)
    True

    Source:
        Um et al. 2017, arXiv:1706.00527, there called jittering.
    """

    shapes: ClassVar[dict[int, str]] = SERIES_SHAPES

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        self.stddev = check_positive(self, "stddev", stddev)

    def augment(self, inputs: Any, mask: Any) -> Any:
        """Adds noise.

        Args:
            inputs: Float tensor `(batch, time)` or `(batch, time, channels)`.
            mask: Boolean tensor `(batch, time)` or `None`.

        Returns:
            A tensor of the shape of the inputs.
        """
        noise = keras.random.normal(ops.shape(inputs), stddev=self.stddev, dtype="float32", seed=self.seed_generator)
        noisy = inputs + ops.cast(noise, inputs.dtype)
        return noisy if mask is None else ops.where(beside(mask, inputs), noisy, inputs)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "stddev": self.stddev}
