"""Batch normalization that keeps its moving averages with several momenta at once.

The momentum has no part in training, only in the averages used at inference, so one training serves all momenta.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


class SeveralMomenta(keras.layers.BatchNormalization):
    """Batch normalization whose averages can be taken from any of some momenta.

    Args:
        momenta: The momenta, each in [0, 1).
    """

    def __init__(self, momenta: Sequence[float]) -> None:
        super().__init__()
        self.momenta = tuple(momenta)
        self.averages: list[tuple[keras.Variable, keras.Variable]] = []

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        shape = (input_shape[-1],)
        self.averages = [
            (
                self.add_weight(shape=shape, initializer="zeros", trainable=False, name=f"mean_{number}"),
                self.add_weight(shape=shape, initializer="ones", trainable=False, name=f"variance_{number}"),
            )
            for number in range(len(self.momenta))
        ]

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if training:
            found = ops.moments(inputs, axes=list(range(len(inputs.shape) - 1)))
            for momentum, averages in zip(self.momenta, self.averages, strict=True):
                for average, value in zip(averages, found, strict=True):
                    average.assign(average * momentum + value * (1 - momentum))
        return super().call(inputs, training=training, mask=mask)

    def use(self, momentum: float) -> None:
        """Normalize at inference with the averages of one of the momenta."""
        mean, variance = self.averages[self.momenta.index(momentum)]
        self.moving_mean.assign(mean)
        self.moving_variance.assign(variance)


def use_momentum(model: keras.Model, momentum: float) -> None:
    """Have all norms of a model use the averages of a momentum."""
    for layer in model.layers:
        if isinstance(layer, SeveralMomenta):
            layer.use(momentum)
