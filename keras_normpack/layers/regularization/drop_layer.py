"""What the layers have in common that drop a share of their inputs."""

from abc import ABC, abstractmethod
from typing import Any

import keras

from keras_normpack.layers.arguments import check_rate


class DropLayer(keras.layers.Layer, ABC):
    """Drops a share of its inputs in training and hands them on unchanged at inference.

    The share in force is the scalar weight `current_rate`, not trainable, which begins as `rate`. It is a weight so
    that `keras_normpack.callbacks.DropRateSchedule` can change it without a compiled training step being traced anew.
    A layer of rate 0 has no weight and draws nothing.

    Args:
        rate: Float in [0, 1), the share to drop.
        seed: Integer, makes the draws repeatable; `None` for a random one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Raises:
        ValueError: If `rate` is outside [0, 1).
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = check_rate(self, "rate", rate)
        self.seed = seed
        self.supports_masking = True
        if self.rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
            self.current_rate = self.add_weight(
                name="current_rate",
                shape=(),
                initializer=keras.initializers.Constant(self.rate),
                dtype="float32",
                trainable=False,
                autocast=False,
            )

    @abstractmethod
    def drop(self, inputs: Any) -> Any:
        """Drops `current_rate` of the inputs.

        Args:
            inputs: Float tensor, the batch first.

        Returns:
            A tensor of the shape of the inputs.
        """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drops in training.

        Args:
            inputs: Float tensor, the batch first.
            training: Whether to drop.

        Returns:
            A tensor of the shape of the inputs.
        """
        return self.drop(inputs) if training and self.rate > 0 else inputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Gives the shape of the inputs back."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
