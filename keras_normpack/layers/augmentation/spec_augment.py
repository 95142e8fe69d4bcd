"""SpecAugment for spectrograms."""

from typing import Any, ClassVar, Literal

import keras
from keras import ops

from keras_normpack.layers.augmentation.augmentation_layer import AugmentationLayer
from keras_normpack.layers.augmentation.bands import random_bands
from keras_normpack.layers.augmentation.time_steps import Steps, beside
from keras_normpack.layers.augmentation.time_warp import random_time_warp


@keras.saving.register_keras_serializable(package="keras_normpack")
class SpecAugment(AugmentationLayer):
    """Warps spectrograms along time and masks bands of time and frequency, each by chance.

    First a random step is moved by up to `time_warp` steps, and what lies before and after is stretched or squeezed
    with it, with linear interpolation. (The paper bends the picture around that point by a spline; along time this is
    all but the same.) Then come bands over all frequencies and bands over all time steps, of random width and place,
    which may overlap. The defaults are the paper's policy "LibriSpeech basic".

    Active in training only; a call that does not say `training=False` is one in training, as with Keras's `RandomFlip`
    and its like. Where the inputs carry a mask, warp, bands and mean keep to what lies between the first and the last
    step that count, and the mask goes on as it was.

    `keras.layers.MelSpectrogram` has frequency before time; put `keras.layers.Permute((2, 1))` between.

    Args:
        time_warp: Integer from 0, W of the paper: the farthest a step is moved, 0 for no warp. At most half the length
            is used.
        frequency_mask: Integer from 0, F of the paper: the widest band of frequencies.
        frequency_masks: Integer from 0, m_F of the paper: the number of bands of frequencies.
        time_mask: Integer from 0, T of the paper: the widest band of time steps.
        time_masks: Integer from 0, m_T of the paper: the number of bands of time steps.
        time_mask_ratio: Float in [0, 1], p of the paper: the widest band of time steps as a share of the length.
        mask_value: Float to put into the bands, or `"mean"` for the mean of each sample and channel. The paper's
            spectrograms have mean 0, so that both are the same there.
        seed: Integer, makes the draws repeatable; `None` for a random one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs, `(batch, time, frequency)` or `(batch, time, frequency, channels)`.

    Raises:
        ValueError: If an argument is outside its range, or the inputs have another number of axes or are not floats.

    Example:
    >>> import numpy as np
    >>> layer = SpecAugment(frequency_mask=8, time_mask=20, mask_value=0.0, seed=0)
    >>> masked = keras.ops.convert_to_numpy(layer(np.ones((16, 100, 40)))) == 0
    >>> bool(masked.all(1).sum(1).max() <= 8), bool(masked.all(2).sum(1).max() <= 20)
    (True, True)

    Source:
        Park et al. 2019, arXiv:1904.08779, section 2 and table 1.
    """

    shapes: ClassVar[dict[int, str]] = {3: "(batch, time, frequency)", 4: "(batch, time, frequency, channels)"}

    def __init__(
        self,
        time_warp: int = 80,
        frequency_mask: int = 27,
        frequency_masks: int = 1,
        time_mask: int = 100,
        time_masks: int = 1,
        time_mask_ratio: float = 1.0,
        mask_value: float | Literal["mean"] = "mean",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.time_warp = self._count("time_warp", time_warp)
        self.frequency_mask = self._count("frequency_mask", frequency_mask)
        self.frequency_masks = self._count("frequency_masks", frequency_masks)
        self.time_mask = self._count("time_mask", time_mask)
        self.time_masks = self._count("time_masks", time_masks)
        if not 0 <= time_mask_ratio <= 1:
            raise ValueError(
                f"Argument `time_mask_ratio` of {type(self).__name__} must be a number in [0, 1]. "
                f"Received: time_mask_ratio={time_mask_ratio!r}"
            )
        self.time_mask_ratio = float(time_mask_ratio)
        if mask_value != "mean" and not isinstance(mask_value, int | float):
            raise ValueError(
                f"Argument `mask_value` of {type(self).__name__} must be a number or 'mean'. "
                f"Received: mask_value={mask_value!r}"
            )
        self.mask_value = mask_value

    def augment(self, inputs: Any, mask: Any) -> Any:
        """Warps and masks.

        Args:
            inputs: Float tensor `(batch, time, frequency)` or `(batch, time, frequency, channels)`.
            mask: Boolean tensor `(batch, time)` or `None`.

        Returns:
            A tensor of the shape of the inputs.
        """
        steps = Steps.of(inputs, mask)
        warped = random_time_warp(inputs, steps, self.time_warp, self.seed_generator) if self.time_warp else inputs
        if self.mask_value == "mean":
            value = _mean(inputs, ops.ones_like(steps.within) if mask is None else mask)
        else:
            value = ops.cast(self.mask_value, inputs.dtype)
        return ops.where(beside(self._bands(inputs, steps), inputs), value, warped)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {
            **super().get_config(),
            "time_warp": self.time_warp,
            "frequency_mask": self.frequency_mask,
            "frequency_masks": self.frequency_masks,
            "time_mask": self.time_mask,
            "time_masks": self.time_masks,
            "time_mask_ratio": self.time_mask_ratio,
            "mask_value": self.mask_value,
        }

    def _bands(self, inputs: Any, steps: Steps) -> Any:
        """Boolean tensor `(batch, time, frequency)`, true in the bands."""
        frequencies = ops.arange(ops.shape(inputs)[2], dtype="int32")[None] + ops.zeros_like(steps.lengths)
        number = ops.zeros_like(steps.lengths) + ops.shape(inputs)[2]
        in_frequency = random_bands(
            frequencies, number, ops.minimum(number, self.frequency_mask), self.frequency_masks, self.seed_generator
        )
        share = ops.cast(ops.floor(self.time_mask_ratio * ops.cast(steps.lengths, "float32")), "int32")
        widest = ops.minimum(share, self.time_mask)
        in_time = random_bands(steps.positions, steps.lengths, widest, self.time_masks, self.seed_generator)
        either = ops.logical_or(ops.expand_dims(in_frequency, 1), ops.expand_dims(in_time, 2))
        return ops.logical_and(either, ops.expand_dims(steps.within, 2))

    def _count(self, name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(
                f"Argument `{name}` of {type(self).__name__} must be an integer from 0. Received: {name}={value!r}"
            )
        return value


def _mean(inputs: Any, counted: Any) -> Any:
    """Mean over the time steps that count and all frequencies, in float32 at least, cast to the dtype of the inputs."""
    precise = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
    weights = beside(ops.cast(counted, precise.dtype), inputs)
    total = ops.sum(ops.where(weights > 0, precise, 0), axis=(1, 2), keepdims=True)
    number = ops.sum(weights, axis=(1, 2), keepdims=True) * ops.cast(ops.shape(inputs)[2], precise.dtype)
    return ops.cast(total / ops.maximum(number, 1), inputs.dtype)
