"""The tasks: data, a model as people write it, and for how long it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from benchmarks.advice import models
from benchmarks.datasets import Parts, parts

BATCH_SIZES = (2, 8, 64)


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: Name of the task.
        data: Name of the data set.
        sizes: Samples to train on, to choose on and to test on.
        model: Builds and compiles the model as written.
        epochs: Epochs of every training; at a batch size of 2, half as many, which are still the most steps.
        mistake: What is wrong with the model or its run, as its writer would not know; empty for nothing.
        mapped: What is done to the inputs before the model sees them.
        reconstructs: Whether the inputs are the targets.
    """

    name: str
    data: str
    sizes: tuple[int, int, int]
    model: Callable[[], keras.Model]
    epochs: int
    mistake: str = ""
    mapped: Callable[[np.ndarray], np.ndarray] = lambda x: x
    reconstructs: bool = False

    @cached_property
    def parts(self) -> Parts:
        """Its data, as the model takes it."""
        read = parts(self.data, *self.sizes)

        def taken(pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
            x = self.mapped(pair[0])
            return (x, x) if self.reconstructs else (x, pair[1])

        return Parts(taken(read.train), taken(read.validation), taken(read.test), read.classes)

    def epochs_at(self, batch_size: int) -> int:
        """Epochs of a training at a batch size."""
        return self.epochs // 2 if batch_size == BATCH_SIZES[0] else self.epochs

    @property
    def unit(self) -> str:
        """What its points are hundredths of."""
        return "R²" if self.parts.classes == 0 or self.reconstructs else "accuracy"


TASKS = (
    Task("plain CNN", "fashion_mnist", (1500, 500, 1500), models.plain_cnn, 8, "no normalization"),
    Task("CNN with BN", "fashion_mnist", (1500, 500, 1500), models.batch_norm_cnn, 8, "few steps for the averages"),
    Task("residual CNN", "cifar10", (1200, 500, 1500), models.residual_cnn, 8),
    Task(
        "dropout before BN",
        "digits",
        (900, 300, 597),
        models.dropout_before_norm_cnn,
        10,
        "dropout before BN; flattened",
    ),
    Task("wine MLP", "wine", (90, 38, 50), models.from_logits_mlp, 40, "unscaled; softmax with from_logits"),
    Task("cancer MLP", "breast_cancer", (300, 119, 150), models.deep_mlp, 25, "unscaled; no early stopping"),
    Task("diabetes MLP", "diabetes", (240, 92, 110), models.wide_regression, 40, "no early stopping"),
    Task(
        "MLP on bytes",
        "mnist",
        (1500, 500, 1500),
        models.bytes_mlp,
        8,
        "unscaled",
        mapped=lambda x: x * 255,
    ),
    Task("LSTM with BN", "Crop", (1000, 500, 1500), models.batch_norm_lstm, 6, "BN between recurrent layers"),
    Task("GRU stack", "ECG5000", (380, 120, 1500), models.gru_stack, 12, "no normalization"),
    Task("1-D CNN", "ElectricDevices", (1500, 500, 1500), models.convolutions_1d, 8, "unscaled; flattened"),
    Task(
        "Transformer",
        "imdb",
        (1500, 500, 1500),
        models.transformer,
        5,
        "no normalization",
        mapped=lambda x: x[:, :64],
    ),
    Task("bag of words", "imdb", (1500, 500, 1500), models.bag_of_words, 10, "no early stopping"),
    Task("speech CNN", "spoken_digits", (800, 300, 1000), models.spectrogram_cnn, 12, "BN after the activations"),
    Task(
        "autoencoder",
        "fashion_mnist",
        (1200, 500, 1000),
        models.autoencoder,
        8,
        "BN in an image-to-image network",
        reconstructs=True,
    ),
)


def task_named(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: If there is none.
    """
    for task in TASKS:
        if task.name == name:
            return task
    raise ValueError(f"unknown task; expected one of {', '.join(task.name for task in TASKS)}. Received: {name!r}")
