"""Series made larger and smaller."""

from typing import Any, ClassVar

import keras
from keras import ops

from keras_normpack.layers.arguments import check_positive
from keras_normpack.layers.augmentation.augmentation_layer import AugmentationLayer
from keras_normpack.layers.augmentation.time_steps import SERIES_SHAPES, beside


@keras.saving.register_keras_serializable(package="keras_normpack")
class RandomScaling(AugmentationLayer):
    """Multiplies each series by a random number near 1.

    `y = x · s` with one `s` for each sample, drawn from a normal distribution of mean 1 and deviation `stddev`. Active
    in training only; a call that does not say `training=False` is one in training.

    Args:
        stddev: Float above 0, the deviation of the factor.
        seed: Integer, makes the draws repeatable; `None` for a random one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs, `(batch, time)` or `(batch, time, channels)`.

    Raises:
        ValueError: If `stddev` is not above 0, or the inputs have another number of axes or are not floats.

    Example:
    >>> import numpy as np
    >>> factors = keras.ops.convert_to_numpy(RandomScaling(0.1, seed=0)(np.ones((1000, 3))))
    >>> bool(np.all(factors == factors[:, :1])), bool(abs(factors.std() - 0.1) < 0.01)
    (True, True)

    Source:
        Um et al. 2017, arXiv:1706.00527, there called scaling.
    """

    shapes: ClassVar[dict[int, str]] = SERIES_SHAPES

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        self.stddev = check_positive(self, "stddev", stddev)

    def augment(self, inputs: Any, mask: Any) -> Any:
        """Multiplies each series.

        Args:
            inputs: Float tensor `(batch, time)` or `(batch, time, channels)`.
            mask: Boolean tensor `(batch, time)` or `None`.

        Returns:
            A tensor of the shape of the inputs.
        """
        factors = keras.random.normal(
            (ops.shape(inputs)[0],), mean=1.0, stddev=self.stddev, dtype="float32", seed=self.seed_generator
        )
        scaled = inputs * ops.cast(beside(factors, inputs), inputs.dtype)
        return scaled if mask is None else ops.where(beside(mask, inputs), scaled, inputs)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "stddev": self.stddev}
