"""Series moved along time."""

from collections.abc import Callable
from typing import Any, ClassVar

import keras
from keras import ops

from keras_normpack.layers.augmentation.augmentation_layer import AugmentationLayer
from keras_normpack.layers.augmentation.time_steps import SERIES_SHAPES, Steps, beside, take_steps


def _nearest(sources: Any, lengths: Any) -> Any:
    return ops.clip(sources, 0, ops.maximum(lengths - 1, 0))


def _wrap(sources: Any, lengths: Any) -> Any:
    return ops.mod(sources, ops.maximum(lengths, 1))


def _reflect(sources: Any, lengths: Any) -> Any:
    there_and_back = 2 * ops.maximum(lengths, 1)
    turned = ops.mod(sources, there_and_back)
    return ops.minimum(turned, there_and_back - 1 - turned)


_FILL_MODES: dict[str, Callable[[Any, Any], Any]] = {
    "constant": _nearest,
    "nearest": _nearest,
    "reflect": _reflect,
    "wrap": _wrap,
}


@keras.saving.register_keras_serializable(package="keras_normpack")
class RandomTimeShift(AugmentationLayer):
    """Moves each series along time by a random number of steps.

    `y[t] = x[t - round(u · length)]` with `u` drawn from `factor` for each sample. Active in training only; a call that
    does not say `training=False` is one in training, as with `keras.layers.RandomTranslation`.

    Where the inputs carry a mask, what lies between the first and the last step that count is moved within these
    bounds, and the mask goes on as it was.

    Args:
        factor: Float in [0, 1], the largest shift as a share of the length, in either direction; or a tuple
            `(lower, upper)` of floats in [-1, 1], above 0 for later.
        fill_mode: What comes in at the end that is left: `"constant"` (`fill_value`), `"nearest"` (the last step),
            `"reflect"` (the series mirrored, the last step twice) or `"wrap"` (what went out at the other end).
        fill_value: Float, for `fill_mode="constant"`.
        seed: Integer, makes the draws repeatable; `None` for a random one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs, `(batch, time)` or `(batch, time, channels)`.

    Raises:
        ValueError: If `factor` is outside its range or `fill_mode` unknown, or the inputs have another number of axes
            or are not floats.

    Example:
    >>> import numpy as np
    >>> layer = RandomTimeShift((0.5, 0.5), fill_mode="wrap")
    >>> print(keras.ops.convert_to_numpy(layer(np.array([[1.0, 2.0, 3.0, 4.0]]))))
    [[3. 4. 1. 2.]]

    Source:
        Arguments and fill modes are those of `keras.layers.RandomTranslation`.
    """

    shapes: ClassVar[dict[int, str]] = SERIES_SHAPES

    def __init__(
        self,
        factor: float | tuple[float, float],
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.factor = tuple(factor) if isinstance(factor, list | tuple) else factor
        self._bounds = self._lower_and_upper(factor)
        if fill_mode not in _FILL_MODES:
            raise ValueError(
                f"Argument `fill_mode` of {type(self).__name__} must be one of {sorted(_FILL_MODES)}. "
                f"Received: fill_mode={fill_mode!r}"
            )
        self.fill_mode = fill_mode
        self.fill_value = float(fill_value)

    def augment(self, inputs: Any, mask: Any) -> Any:
        """Moves each series.

        Args:
            inputs: Float tensor `(batch, time)` or `(batch, time, channels)`.
            mask: Boolean tensor `(batch, time)` or `None`.

        Returns:
            A tensor of the shape of the inputs.
        """
        steps = Steps.of(inputs, mask)
        draws = keras.random.uniform(
            (ops.shape(inputs)[0], 1), *self._bounds, dtype="float32", seed=self.seed_generator
        )
        shifts = ops.cast(ops.round(draws * ops.cast(steps.lengths, "float32")), "int32")
        sources = steps.positions - shifts
        moved = take_steps(inputs, steps, _FILL_MODES[self.fill_mode](sources, steps.lengths))
        if self.fill_mode != "constant":
            return moved
        beyond = ops.logical_or(sources < 0, sources >= steps.lengths)
        return ops.where(beside(ops.logical_and(steps.within, beyond), inputs), self.fill_value, moved)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {
            **super().get_config(),
            "factor": self.factor,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
        }

    def _lower_and_upper(self, factor: Any) -> tuple[float, float]:
        bounds = tuple(factor) if isinstance(factor, list | tuple) else (-factor, factor)
        if len(bounds) != 2 or not -1 <= bounds[0] <= bounds[1] <= 1:
            raise ValueError(
                f"Argument `factor` of {type(self).__name__} must be a number in [0, 1] or two in [-1, 1], the "
                f"lower one first. Received: factor={factor!r}"
            )
        return bounds
