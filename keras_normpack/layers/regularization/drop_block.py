"""DropBlock for any number of spatial axes."""

from typing import Any, ClassVar

import keras
from keras import ops

from keras_normpack.layers.arguments import check_positive_integer
from keras_normpack.layers.regularization.block_mask import kept_mask, seed_probability
from keras_normpack.layers.regularization.drop_layer import DropLayer


class DropBlock(DropLayer):
    """What `DropBlock1D`, `DropBlock2D` and `DropBlock3D` have in common; `spatial_rank` is the number in their names.

    Args:
        rate: Float in [0, 1), the share of activations to drop.
        block_size: Integer, or one for each spatial axis.
        data_format: `"channels_last"` or `"channels_first"`; `None` for `keras.config.image_data_format()`.
        per_channel: Whether each channel has its own blocks, or a block goes through all.
        seed: Integer, makes the draws repeatable; `None` for a random one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.
    """

    spatial_rank: ClassVar[int]

    def __init__(
        self,
        rate: float,
        block_size: int | tuple[int, ...],
        data_format: str | None = None,
        per_channel: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        self.block_size = block_size if isinstance(block_size, int) else tuple(block_size)
        self._block_sizes = self._one_per_axis(block_size)
        if data_format not in (None, "channels_last", "channels_first"):
            raise ValueError(
                f"Argument `data_format` of {type(self).__name__} must be 'channels_last', 'channels_first' or None. "
                f"Received: data_format={data_format!r}"
            )
        self.data_format = data_format or keras.config.image_data_format()
        self.per_channel = bool(per_channel)
        self.input_spec = keras.layers.InputSpec(ndim=self.spatial_rank + 2)

    def drop(self, inputs: Any) -> Any:
        """Drops blocks that cover `current_rate` of the activations.

        Args:
            inputs: Float tensor `(batch, …, channels)` or `(batch, channels, …)` with the spatial axes at `…`.

        Returns:
            A tensor of the shape of the inputs.
        """
        shape = ops.shape(inputs)
        channel_axis = len(shape) - 1 if self.data_format == "channels_last" else 1
        sizes = [size for axis, size in enumerate(shape) if axis not in (0, channel_axis)]
        # Pooling with windows larger than the map would give the same at many times the cost.
        blocks = [
            min(block, size) if isinstance(size, int) else block
            for block, size in zip(self._block_sizes, sizes, strict=True)
        ]
        kept = kept_mask(
            seed_probability(ops.convert_to_tensor(self.current_rate), sizes, blocks),
            shape[0],
            sizes,
            shape[channel_axis] if self.per_channel else 1,
            blocks,
            self.seed_generator,
        )
        # The mean is 0 only where nothing is kept, and then nothing is left to scale.
        scale = 1 / ops.maximum(ops.mean(kept), keras.config.epsilon())
        kept = ops.moveaxis(kept, -1, channel_axis)
        return ops.where(kept > 0, inputs * ops.cast(scale, inputs.dtype), 0)

    def get_config(self) -> dict[str, Any]:
        """Gives the arguments the layer was made with."""
        return {
            **super().get_config(),
            "block_size": self.block_size,
            "data_format": self.data_format,
            "per_channel": self.per_channel,
        }

    def _one_per_axis(self, block_size: Any) -> tuple[int, ...]:
        sizes = tuple(block_size) if isinstance(block_size, list | tuple) else (block_size,) * self.spatial_rank
        if len(sizes) != self.spatial_rank:
            raise ValueError(
                f"Argument `block_size` of {type(self).__name__} must be an integer or {self.spatial_rank} of them, "
                f"one for each spatial axis. Received: block_size={block_size!r}"
            )
        return tuple(check_positive_integer(self, "block_size", size) for size in sizes)
