"""What the augmentation layers have in common."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import keras


class AugmentationLayer(keras.layers.Layer, ABC):
    """Changes its inputs by chance in training, each sample on its own, and hands them on unchanged at inference.

    As with Keras's own `RandomFlip` and its like, a call that does not say `training=False` is one in training, so that
    `dataset.map(layer)` augments; `fit`, `evaluate` and `predict` say it. The mask of the inputs goes on, and masked
    positions are neither looked at nor changed. In `tf.data` pipelines it runs with the TensorFlow backend.

    Args:
        seed: Integer, makes the draws repeatable; `None` for a random one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.
    """

    # Shapes the layer takes, by number of axes.
    shapes: ClassVar[dict[int, str]]

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Checks the number of axes."""
        self._check_shape(input_shape)

    @abstractmethod
    def augment(self, inputs: Any, mask: Any) -> Any:
        """Changes the inputs by chance.

        Args:
            inputs: Float tensor `(batch, time, …)`.
            mask: Boolean tensor `(batch, time)`, true where there is something, or `None`.

        Returns:
            A tensor of the shape and dtype of the inputs.
        """

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        """Augments in training.

        Args:
            inputs: Float tensor `(batch, time, …)`.
            training: Whether to augment.
            mask: Boolean tensor `(batch, time)`, true where there is something, or `None`.

        Returns:
            A tensor of the shape of the inputs.
        """
        self._check_dtype(inputs)
        return self.augment(inputs, mask) if training else inputs

    def compute_output_spec(self, inputs: Any, **options: Any) -> Any:
        """Gives shape and dtype of the outputs."""
        self._check_dtype(inputs)
        return super().compute_output_spec(inputs, **options)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Gives the shape of the inputs back."""
        self._check_shape(input_shape)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "seed": self.seed}

    def _check_shape(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) not in self.shapes:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} needs inputs of shape {' or '.join(self.shapes.values())}. "
                f"Received: input_shape={tuple(input_shape)}"
            )

    def _check_dtype(self, inputs: Any) -> None:
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if not keras.backend.is_float_dtype(dtype):
            raise ValueError(
                f"{type(self).__name__} {self.name!r} needs floats; scale integers first, 16-bit waveforms with "
                f"keras.layers.Rescaling(1 / 32768). Received: inputs of dtype {dtype}"
            )
