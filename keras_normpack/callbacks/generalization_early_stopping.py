"""Early stopping by Prechelt's criteria."""

import math
from collections.abc import Iterator
from typing import Any

import keras

from keras_normpack.callbacks.early_stopping_criteria import (
    generalization_loss,
    progress_quotient,
    successive_rises,
    training_progress,
)
from keras_normpack.layers.arguments import check_positive, check_positive_integer

DEFAULT_ALPHA = {"GL": 3.0, "PQ": 1.0, "UP": 4}
"""The middle one of those the paper compares."""


class GeneralizationEarlyStopping(keras.callbacks.EarlyStopping):
    """Stops training when the model generalizes worse, by how much or how long the validation error has risen.

    With `E_va` and `E_tr` the validation and training errors of the epochs 1 to `t`, and strips of `k` epochs:

    - `"GL"` stops when the loss of generalization is above `alpha` percent:
      `GL(t) = 100 · (E_va(t) / min_{t' ≤ t} E_va(t') - 1) > α`
    - `"PQ"` stops, at the end of a strip, when that loss is large against what training still gains:
      `PQ(t) = GL(t) / P_k(t) > α` with `P_k(t) = 1000 · (Σ E_tr(t') / (k · min E_tr(t')) - 1)` over the strip
    - `"UP"` stops when the validation error has risen in `alpha` strips in a row, however little:
      `E_va(t) > E_va(t - k)` at the ends `t` of each

    Slower criteria (larger `alpha`) generalize somewhat better and train much longer. GL finds a good model most
    surely, PQ and UP give the better models on average. As in the paper, training stops also, at the end of a strip,
    when it makes no progress, and here at once when the error is not finite. Epochs without validation are not counted.

    Args:
        criterion: `"GL"`, `"PQ"` or `"UP"`.
        alpha: Threshold: percent for GL, a ratio for PQ, a number of strips for UP. The paper compares 1 to 5, 0.5 to 3
            and 2 to 8; `None` for 3, 1 and 4.
        strip: Epochs `k` in a strip; from 2 for PQ.
        monitor: Name of the validation error. The training error is the one of that name without `val_`.
        min_progress: Training stops when `P_k`, in per thousand, is below it; `None` to go on.
        restore_best_weights: Whether the model gets the weights of the epoch with the lowest error when training ends.
        start_from_epoch: Epochs at the start that are not looked at.
        verbose: 1 prints the figures that stopped training, 0 nothing.

    Attributes:
        criterion_values: The criterion after each epoch looked at, for plotting; of UP, the number of strips.
        validation_errors: The validation error of each epoch looked at.
        training_errors: The training error of each epoch looked at.
        best: Lowest validation error.
        best_epoch: Its epoch, counted from 0.
        stopped_epoch: The epoch, counted from 0, after which training stopped, or 0.

    Raises:
        ValueError: If an argument is wrong; after the first step, if the metric is one to maximize; at the end of an
            epoch, if the error is negative (for GL and PQ), or PQ finds no training error.

    Example:
    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 32)[:, None]
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> stopping = GeneralizationEarlyStopping("GL", alpha=5)
    >>> history = model.fit(x, -x, validation_data=(x, x + 1), epochs=50, callbacks=[stopping], verbose=0)
    >>> [round(value, 1) for value in stopping.criterion_values], stopping.stopped_epoch
    ([0.0, 1.9, 4.8, 8.5], 3)

    Source:
        Prechelt 1998, Early Stopping - But When?, LNCS 1524, section 2.2.
    """

    def __init__(
        self,
        criterion: str = "GL",
        alpha: float | None = None,
        strip: int = 5,
        monitor: str = "val_loss",
        min_progress: float | None = 0.1,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
        verbose: int = 0,
    ) -> None:
        if criterion not in DEFAULT_ALPHA:
            raise ValueError(
                f"Argument `criterion` of {type(self).__name__} must be one of {tuple(DEFAULT_ALPHA)}. "
                f"Received: criterion={criterion!r}"
            )
        if alpha is not None:
            (check_positive_integer if criterion == "UP" else check_positive)(self, "alpha", alpha)
        check_positive_integer(self, "strip", strip)
        if criterion == "PQ" and strip == 1:
            raise ValueError(
                f"Argument `strip` of {type(self).__name__} must be from 2 for criterion='PQ': there is no progress "
                "within one epoch. Received: strip=1"
            )
        if min_progress is not None:
            check_positive(self, "min_progress", min_progress)
        super().__init__(
            monitor=monitor,
            mode="min",
            verbose=verbose,
            restore_best_weights=restore_best_weights,
            start_from_epoch=start_from_epoch,
        )
        self.criterion = criterion
        self.alpha = DEFAULT_ALPHA[criterion] if alpha is None else alpha
        self.best: float | None = None
        self.strip = strip
        self.min_progress = min_progress
        self._monitor_is_checked = False
        self.criterion_values: list[float] = []
        self.validation_errors: list[float] = []
        self.training_errors: list[float] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts anew."""
        super().on_train_begin(logs)
        self.criterion_values, self.validation_errors, self.training_errors = [], [], []
        self._monitor_is_checked = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Makes sure that the monitored quantity is an error, as soon as Keras has made the metrics."""
        if self._monitor_is_checked:
            return
        self._monitor_is_checked = True
        watched = self.monitor.removeprefix("val_")
        for metric in _single_metrics(self.model.metrics):
            is_watched = watched == metric.name or watched.endswith("_" + metric.name)
            if is_watched and getattr(metric, "_direction", None) == "up":
                raise ValueError(
                    f"Argument `monitor` of {type(self).__name__} must name an error, which is to fall towards 0, such "
                    f"as 'val_loss'; {metric.name!r} is to rise. Received: monitor={self.monitor!r}"
                )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Takes the errors of the epoch, keeps the weights if they are the best, and stops by the criterion."""
        error = self.get_monitor_value(logs)
        if error is None or epoch < self.start_from_epoch:
            return
        self._check(error, logs)
        self.validation_errors.append(float(error))
        self.training_errors.append(float(logs.get(self._training_monitor, math.nan)))
        if math.isfinite(error) and (self.best is None or error < self.best):
            self.best, self.best_epoch = float(error), epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        reason = self._reason_to_stop()
        if reason:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            if self.verbose:
                lowest = "" if self.best is None else f", lowest {self.best:.4g} in epoch {self.best_epoch + 1}"
                print(f"Epoch {epoch + 1}: {reason} ({self.monitor} {error:.4g}{lowest}).")

    @property
    def _training_monitor(self) -> str:
        return self.monitor.removeprefix("val_")

    def _check(self, error: float, logs: Any) -> None:
        if self.criterion != "UP" and error < 0:
            raise ValueError(
                f"{type(self).__name__} with criterion={self.criterion!r} compares errors by their ratio, so they must "
                f"not be negative; criterion='UP' only compares them. Received: {self.monitor}={error}"
            )
        if self.criterion == "PQ" and self._training_monitor not in logs:
            raise ValueError(
                f"{type(self).__name__} with criterion='PQ' needs the training error {self._training_monitor!r}. "
                f"Received: {', '.join(logs)}"
            )

    def _reason_to_stop(self) -> str | None:
        self.criterion_values.append(self._criterion_value())
        if not math.isfinite(self.validation_errors[-1]):
            return f"{self.monitor} is not finite"
        at_end_of_strip = len(self.validation_errors) % self.strip == 0
        value = self.criterion_values[-1]
        if self.criterion == "GL" and value > self.alpha:
            return f"GL = {value:.4g} is above alpha = {self.alpha:g}"
        if self.criterion == "PQ" and at_end_of_strip and value > self.alpha:
            return f"PQ = {value:.4g} is above alpha = {self.alpha:g}"
        if self.criterion == "UP" and value >= self.alpha:
            return f"{self.monitor} has risen in {value:g} strips of {self.strip} epochs in a row"
        if self.min_progress is not None and at_end_of_strip and self.strip > 1:
            progress = training_progress(self.training_errors, self.strip)
            if progress < self.min_progress:
                return f"training progress {progress:.4g} per thousand is below min_progress = {self.min_progress:g}"
        return None

    def _criterion_value(self) -> float:
        if self.criterion == "GL":
            return generalization_loss(self.validation_errors)
        if self.criterion == "PQ":
            return progress_quotient(self.validation_errors, self.training_errors, self.strip)
        return successive_rises(self.validation_errors, self.strip)


def _single_metrics(metrics: list[Any]) -> Iterator[Any]:
    for metric in metrics:
        yield from _single_metrics(metric.metrics) if hasattr(metric, "metrics") else [metric]
