"""Drop rates that change while training runs."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
from keras import ops

from keras_normpack.layers.regularization.drop_layer import DropLayer
from keras_normpack.layers.sublayers import sublayers


class DropRateSchedule(keras.callbacks.Callback):
    """Sets the rates of `DropPath` and `DropBlock` layers to a scheduled share of what each was made with.

    `current_rate = schedule(count) · rate` with the number of epochs or of training steps before this one. Each layer
    keeps its own `rate`, so that rates which grow with depth stay in proportion. No training step is traced anew. The
    rates stay where they are when training ends, and are saved with the model.

    Args:
        schedule: Callable from the number of epochs (or training steps) before this one to a number in [0, 1]; a
            `keras.optimizers.schedules.LearningRateSchedule` is one.
        layers: The layers whose rates to set; `None` for all in the model that drop.
        update_freq: `"epoch"`, or `"batch"` for every training step. Both are counted from the first epoch, so that
            `fit(initial_epoch=…)` goes on where training stopped.

    Raises:
        ValueError: If `update_freq` is neither, `schedule` gives a number outside [0, 1], or no layer has a rate.

    Example:
    >>> import numpy as np
    >>> import keras_normpack
    >>> layer = keras_normpack.DropPath(0.2)
    >>> model = keras.Sequential([keras.Input((3,)), layer])
    >>> model.compile(loss="mse")
    >>> linear = DropRateSchedule(lambda epoch: min(epoch / 10, 1.0))
    >>> history = model.fit(np.ones((8, 3)), np.ones((8, 3)), epochs=6, callbacks=[linear], verbose=0)
    >>> print(f"{float(layer.current_rate.value):.2f}")
    0.10

    Source:
        Ghiasi et al. 2018, arXiv:1810.12890, section 3, scheduled DropBlock: the rate grows linearly from 0.
    """

    def __init__(
        self,
        schedule: Callable[[int], Any],
        layers: Sequence[DropLayer] | None = None,
        update_freq: Literal["epoch", "batch"] = "epoch",
    ) -> None:
        super().__init__()
        if update_freq not in ("epoch", "batch"):
            raise ValueError(
                f"Argument `update_freq` of {type(self).__name__} must be 'epoch' or 'batch'. "
                f"Received: update_freq={update_freq!r}"
            )
        self.schedule = schedule
        self.layers = layers
        self.update_freq = update_freq
        self._scheduled: list[DropLayer] = []
        self._steps_done = 0
        self._steps_before_epoch = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Looks for the layers to set."""
        self._steps_done = 0
        candidates = sublayers(self.model) if self.layers is None else self.layers
        self._scheduled = [layer for layer in candidates if isinstance(layer, DropLayer) and layer.rate > 0]
        if not self._scheduled:
            raise ValueError(
                f"{type(self).__name__} needs a DropPath or DropBlock layer with a rate above 0. "
                f"Received: layers={[layer.name for layer in candidates]}"
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the rates of the epoch."""
        if self.update_freq == "epoch":
            self._set_rates(epoch)
        # Where the number of steps is not known, there is only what this call of `fit` has counted.
        self._steps_before_epoch = epoch * self.params["steps"] if self.params.get("steps") else self._steps_done

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the rates of the training step."""
        if self.update_freq != "batch":
            return
        if keras.backend.backend() == "jax":
            # In an epoch the JAX trainer holds the state; synchronized, it reads the variables again.
            self.model.jax_state_sync()
        self._set_rates(self._steps_before_epoch + batch)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the training steps."""
        self._steps_done = self._steps_before_epoch + batch + 1

    def _set_rates(self, count: int) -> None:
        share = float(ops.convert_to_numpy(self.schedule(count)))
        if not 0 <= share <= 1:
            raise ValueError(
                f"Argument `schedule` of {type(self).__name__} must give a share of each layer's rate, a number in "
                f"[0, 1]. Received: schedule({count})={share}"
            )
        for layer in self._scheduled:
            layer.current_rate.assign(share * layer.rate)
