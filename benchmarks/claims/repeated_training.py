"""One network trained again and again from fresh weights: it is traced once, which takes longer than a training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.claims.training import accuracy, batches
from benchmarks.datasets import Pair, Parts


class RepeatedTraining:
    """Trains a classifier that ends in logits, for any batch size and rate.

    Args:
        build: Makes the network, with weights drawn by Keras's global seed.
        optimizer: The optimizer; its learning rate falls from the given rate to zero by half a cosine.
    """

    def __init__(self, build: Callable[[], keras.Model], optimizer: keras.optimizers.Optimizer) -> None:
        import tensorflow as tf

        self._build, self.model, self._optimizer = build, build(), optimizer
        optimizer.build(self.model.trainable_variables)
        self._initial = [variable.numpy() for variable in optimizer.variables]
        self._loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self._rate, self._steps = tf.Variable(0.0), tf.Variable(1.0)
        self._taken = tf.Variable(0.0)
        self._epoch = tf.function(self._trained)
        self._logits = tf.function(lambda x: self.model(x, training=False))

    def train(self, data: Parts, batch_size: int, epochs: int, rate: float, seed: int) -> dict[str, Any]:
        """Train from fresh weights.

        Args:
            data: Train, validation and test part.
            batch_size: Samples per step; a last smaller batch is left out.
            epochs: Passes over the training part.
            rate: Learning rate of the first step.
            seed: Seed of weights and order.

        Returns:
            What `benchmarks.claims.training.train` gives.
        """
        begin = time.perf_counter()
        steps = len(data.train[0]) // batch_size
        self.begin(seed, rate, epochs * steps)
        losses: list[float] = []
        for _ in range(epochs):
            losses.append(self.continued(data.train, batch_size, steps))
            if not math.isfinite(losses[-1]):
                break
        diverged = not math.isfinite(losses[-1])
        return {
            "accuracy": 100 / data.classes if diverged else self.accuracy(data.test),
            "validation": 100 / data.classes if diverged else self.accuracy(data.validation),
            "loss": [loss for loss in losses if math.isfinite(loss)],
            "seconds": round(time.perf_counter() - begin, 2),
        }

    def begin(self, seed: int, rate: float, steps: int) -> None:
        """Draw fresh weights, for a training of so many steps."""
        keras.utils.set_random_seed(seed)
        self.model.set_weights(self._build().get_weights())
        for variable, value in zip(self._optimizer.variables, self._initial, strict=True):
            variable.assign(value)
        self._rate.assign(rate)
        self._steps.assign(steps)
        self._taken.assign(0.0)

    def continued(self, pair: Pair, batch_size: int, steps: int) -> float:
        """Train for some steps, and tell their mean loss."""
        return float(self._epoch(batches(pair, batch_size, fixed=False).repeat().take(steps))) / steps

    def accuracy(self, pair: Pair) -> float:
        """Share of samples classified right, in percent."""
        return accuracy(lambda x, training: self._logits(x), pair)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """What the network gives at inference."""
        return np.asarray(self._logits(x))

    def _trained(self, dataset: Any) -> Any:
        import tensorflow as tf

        total = tf.constant(0.0)
        for x, y in dataset:
            cosine = tf.cos(math.pi * self._taken / self._steps)
            self._optimizer.learning_rate.assign(self._rate * (1 + cosine) / 2)
            with tf.GradientTape() as tape:
                loss = self._loss(y, self.model(x, training=True))
            variables = self.model.trainable_variables
            self._optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
            self._taken.assign_add(1.0)
            total += loss
        return total
