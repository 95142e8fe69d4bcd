"""Stochastic weight averaging."""

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_normpack.callbacks.batch_statistics import (
    DEFAULT_BATCHES,
    assign_all,
    recompute_batch_statistics,
    training_batch_normalizations,
)
from keras_normpack.callbacks.input_batches import check_rereadable, check_sampling
from keras_normpack.layers.arguments import check_positive_integer


class StochasticWeightAveraging(keras.callbacks.Callback):
    """Gives the model, when training ends, the average of its weights over the last part of training.

    `w_SWA = (w₁ + … + wₙ) / n` over the ends of the epochs from `start_epoch` on, or over every `average_period`-th
    step of them. The average lies in the middle of a flat region of the loss, at whose rim the optimizer moves about,
    and generalizes better. It needs a learning rate that stays up, constant or cyclical: give the optimizer one, or add
    `keras.callbacks.LearningRateScheduler`. The moving averages of batch normalization, which fit none of the averaged
    states, are recomputed on `data` as `keras_normpack.recompute_batch_statistics` does; other weights that are not
    trained, and the optimizer, keep their last state.

    Put it last, after callbacks that restore weights. Training goes on with the optimizer's own weights until it ends:
    validation and checkpoints in between are theirs. The averages are not kept by `keras.callbacks.BackupAndRestore`: a
    resumed run averages from there on. Interrupted while it ends, the model has the weights of the last step.

    Args:
        start_epoch: First epoch, counted from 0, at whose end, or during which, weights are averaged; `None` for three
            quarters of the epochs.
        average_period: Steps from one averaged state to the next, as in `tfa.optimizers.SWA`; `None` for one at the end
            of each epoch. With `steps_per_execution`, states between two executions are not seen.
        data: Training data for the statistics of batch normalization; needed for models that have any. Arrays in the
            structure of the model's inputs; a tuple `(x, y)` or `(x, y, sample_weight)`; a batched `tf.data.Dataset`,
            `keras.utils.PyDataset` or torch `DataLoader`.
        batches: How many batches of it to take at most; `None` for all.
        batch_size: Samples in a batch of arrays, best as in training; `None` for 32.
        validation_data: What `model.evaluate` takes as its first argument, or a tuple `(x, y)` or
            `(x, y, sample_weight)`; the averaged model is evaluated on it. `None` to leave that out.
        verbose: 1 prints how many states were averaged and the results of the validation, 0 nothing.

    Attributes:
        averaged: How many states were averaged.
        results: Dict of the loss and metrics of the averaged model on `validation_data`, or `None`.

    Raises:
        TypeError: If `data` is of a kind that `fit` does not take, or can be read only once.
        ValueError: If another argument is wrong, or, as training begins, if `start_epoch` is not below the number of
            epochs, or the model has batch normalization and no `data` was given.

    Example:
    >>> x = np.ones((8, 1), "float32")
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    >>> model.compile(keras.optimizers.SGD(0.25), "mse")
    >>> history = model.fit(x, x, epochs=3, callbacks=[StochasticWeightAveraging(start_epoch=1)], verbose=0)
    >>> [float(weight) for weight in model.get_weights()[0].ravel()]  # of 0.5, 0.75 and 0.875, the last two
    [0.8125]

    Source:
        Izmailov et al. 2018, arXiv:1803.05407, algorithm 1.
    """

    def __init__(
        self,
        start_epoch: int | None = None,
        average_period: int | None = None,
        data: Any = None,
        batches: int | None = DEFAULT_BATCHES,
        batch_size: int | None = None,
        validation_data: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__()
        if start_epoch is not None and (not isinstance(start_epoch, int) or start_epoch < 0):
            raise ValueError(
                f"Argument `start_epoch` of {type(self).__name__} must be an integer from 0, or None. "
                f"Received: start_epoch={start_epoch!r}"
            )
        if average_period is not None:
            check_positive_integer(self, "average_period", average_period)
        if data is not None:
            check_sampling(data, batches, batch_size)
            check_rereadable(self, data)
        self.start_epoch = start_epoch
        self.average_period = average_period
        self.data = data
        self.batches = batches
        self.batch_size = batch_size
        self.validation_data = validation_data
        self.verbose = verbose
        self.averaged = 0
        self.results: dict[str, float] | None = None
        self._averages: list[np.ndarray] = []
        self._first_epoch = 0
        self._epoch = 0
        self._steps = 0
        self._steps_before_epoch = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Makes sure that there will be something to average, and that it can be used."""
        epochs = self.params["epochs"]
        self._first_epoch = epochs * 3 // 4 if self.start_epoch is None else self.start_epoch
        if self._first_epoch >= epochs:
            raise ValueError(
                f"Argument `start_epoch` of {type(self).__name__} must be below the number of epochs, {epochs}, since "
                f"nothing would be averaged. Received: start_epoch={self.start_epoch}"
            )
        if self.data is None and training_batch_normalizations(self.model):
            raise ValueError(
                f"{type(self).__name__} must recompute the statistics of batch normalization for the averaged weights: "
                f"give the training data, `{type(self).__name__}(..., data=x_train)`. "
                f"Received: data=None, model {self.model.name!r} with batch normalization"
            )
        self.averaged, self.results, self._averages = 0, None, []
        self._steps = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch
        self._steps_before_epoch = self._steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Averages after every `average_period`-th step."""
        if self.average_period is None or self._epoch < self._first_epoch:
            return
        steps = self._steps_before_epoch + batch + 1
        if steps // self.average_period > self._steps // self.average_period:
            self._average()
        self._steps = steps

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Averages after the epoch."""
        if self.average_period is None and epoch >= self._first_epoch:
            self._average()

    def on_train_end(self, logs: Any = None) -> None:
        """Gives the model the averages."""
        if not self.averaged:
            warnings.warn(
                f"{type(self).__name__} averaged nothing, since training ended before epoch {self._first_epoch + 1} or "
                f"before {self.average_period or 1} steps of it; the model keeps its weights.",
                stacklevel=2,
            )
            return
        if self._apply() and self.validation_data is not None:
            self._evaluate()

    def _average(self) -> None:
        weights = [ops.convert_to_numpy(variable) for variable in self.model.trainable_variables]
        self.averaged += 1
        if self.averaged == 1:
            self._averages = [weight.astype("float64") for weight in weights]
            return
        for average, weight in zip(self._averages, weights, strict=True):
            average += (weight.astype("float64") - average) / self.averaged

    def _apply(self) -> bool:
        model = self.model
        variables = model.trainable_variables
        last = [np.array(ops.convert_to_numpy(variable)) for variable in variables]
        assign_all(zip(variables, self._averages, strict=True))
        try:
            if training_batch_normalizations(model):
                recompute_batch_statistics(model, self.data, batches=self.batches, batch_size=self.batch_size)
        except FloatingPointError as error:
            assign_all(zip(variables, last, strict=True))
            warnings.warn(f"The model keeps the weights of the last step. {error}", stacklevel=3)
            return False
        except BaseException:
            assign_all(zip(variables, last, strict=True))
            raise
        if self.verbose:
            print(f"Stochastic weight averaging: the model has the average of {self.averaged} states.")
        return True

    def _evaluate(self) -> None:
        data = self.validation_data
        arguments = dict(zip(("x", "y", "sample_weight"), data if isinstance(data, tuple) else (data,), strict=False))
        self.results = self.model.evaluate(**arguments, return_dict=True, verbose=0)
        if self.verbose:
            print("Averaged model: " + ", ".join(f"{name} {value:.4f}" for name, value in self.results.items()))
