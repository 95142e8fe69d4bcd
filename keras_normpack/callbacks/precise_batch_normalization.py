"""Batch normalization statistics recomputed during `fit`."""

import warnings
from typing import Any

import keras

from keras_normpack.callbacks.batch_statistics import (
    DEFAULT_BATCHES,
    recompute_batch_statistics,
    training_batch_normalizations,
)
from keras_normpack.callbacks.input_batches import check_rereadable, check_sampling

MOMENTS_OF_USE = ("train_end", "epoch_end")


class PreciseBatchNormalization(keras.callbacks.Callback):
    """Sets the moving averages of batch normalization to the statistics of the training data.

    Moving averages lag behind the weights, and the model is then worse at inference than in training. This callback
    replaces them as `keras_normpack.recompute_batch_statistics` does. At the end of an epoch it does so before the
    validation, so that validation, checkpoints and early stopping all see the model as it will be used. Put it before
    callbacks that save the model, and after those that restore weights.

    Args:
        data: Training data: arrays in the structure of the model's inputs; a tuple `(x, y)` or `(x, y, sample_weight)`;
            a batched `tf.data.Dataset`, `keras.utils.PyDataset` or torch `DataLoader`.
        batches: How many batches to take at most; `None` for all.
        batch_size: Samples in a batch of arrays, best as in training; `None` for 32.
        at: `"train_end"` for once at the end, `"epoch_end"` for every epoch.
        verbose: 1 prints what was recomputed, 0 nothing.

    Raises:
        TypeError: If the data is of a kind that `fit` does not take, or can be read only once.
        ValueError: If another argument is wrong, or, as training begins, if the model has no batch normalization that
            trains.

    Example:
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(3.0, 2.0, (64, 4)).astype("float32")
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(x, x[:, :1], callbacks=[PreciseBatchNormalization(x)], verbose=0)
    >>> moving_mean = keras.ops.convert_to_numpy(model.layers[0].moving_mean)
    >>> bool(np.allclose(moving_mean, x.mean(axis=0), rtol=1e-5))
    True

    Source:
        Wu & Johnson 2021, arXiv:2105.07576, section 3.
    """

    def __init__(
        self,
        data: Any,
        batches: int | None = DEFAULT_BATCHES,
        batch_size: int | None = None,
        at: str = "train_end",
        verbose: int = 0,
    ) -> None:
        super().__init__()
        check_sampling(data, batches, batch_size)
        check_rereadable(self, data)
        if at not in MOMENTS_OF_USE:
            raise ValueError(
                f"Argument `at` of {type(self).__name__} must be one of {MOMENTS_OF_USE}. Received: at={at!r}"
            )
        self.data = data
        self.batches = batches
        self.batch_size = batch_size
        self.at = at
        self.verbose = verbose
        self._epoch_is_open = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Makes sure that there is something to recompute."""
        if not training_batch_normalizations(self.model):
            raise ValueError(
                f"{type(self).__name__} needs a model with a BatchNormalization layer that trains; leave the callback "
                f"out for this one. Received: model {self.model.name!r}"
            )
        self._epoch_is_open = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes that this epoch's statistics are due."""
        self._epoch_is_open = self.at == "epoch_end"

    def on_test_begin(self, logs: Any = None) -> None:
        """Recomputes before the epoch's validation."""
        self._close_epoch()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Recomputes where there was no validation."""
        self._close_epoch()

    def on_train_end(self, logs: Any = None) -> None:
        """Recomputes for the weights of the end."""
        if self.at == "train_end":
            self._recompute()

    def _close_epoch(self) -> None:
        if self._epoch_is_open:
            self._epoch_is_open = False
            self._recompute()

    def _recompute(self) -> None:
        try:
            recompute_batch_statistics(
                self.model, self.data, batches=self.batches, batch_size=self.batch_size, verbose=self.verbose
            )
        except FloatingPointError as error:
            # Training has diverged already; its history is worth more than an exception.
            warnings.warn(str(error), stacklevel=2)
