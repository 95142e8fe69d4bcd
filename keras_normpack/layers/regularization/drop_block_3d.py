"""DropBlock over 3 dimensions."""

from typing import ClassVar

import keras

from keras_normpack.layers.regularization.drop_block import DropBlock


@keras.saving.register_keras_serializable(package="keras_normpack")
class DropBlock3D(DropBlock):
    """Drops blocks of volumes: boxes of neighbouring voxels.

    Neighbouring activations tell much the same, so that what `Dropout` drops can still be read from beside it; a block
    goes with its surroundings. In training each sample's activations are set to 0 where a random block lies, and all
    others divided by the share that the batch kept. At inference the inputs pass unchanged.

    Blocks lie wholly within the map, start at each place where they fit with the same probability, and may overlap.
    That probability is equation 1's, corrected for what overlapping blocks drop twice, so that the share dropped is
    `rate`. A block larger than the map drops the whole map. The paper raises the rate linearly from 0 while training
    runs: `keras_normpack.callbacks.DropRateSchedule` does.

    Args:
        rate: Float in [0, 1), the share of activations to drop.
        block_size: Integer from 1, or `(depth, height, width)`, the size of a block.
        data_format: `"channels_last"` for `(batch, depth, height, width, channels)` or `"channels_first"` for
            `(batch, channels, depth, height, width)`; `None` for `keras.config.image_data_format()`.
        per_channel: Whether each channel has blocks of its own, which the paper found better; otherwise a block goes
            through all channels, which is faster.
        seed: Integer, makes the draws repeatable; `None` for a random one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Returns:
        A tensor of the shape of the inputs.

    Raises:
        ValueError: If `rate` is outside [0, 1), `block_size` is not one or 3 integers from 1, `data_format` is
            unknown, or the inputs have another number of axes than 5.

    Example:
    >>> import numpy as np
    >>> layer = DropBlock3D(0.2, block_size=3, seed=0)
    >>> dropped = keras.ops.convert_to_numpy(layer(np.ones((8, 8, 8, 8, 4)), training=True)) == 0
    >>> bool(0.0 < dropped.mean() < 0.4)
    True
    >>> bool(np.all(keras.ops.convert_to_numpy(layer(np.ones((8, 8, 8, 8, 4)))) == 1))
    True

    Source:
        Ghiasi et al. 2018, arXiv:1810.12890, algorithm 1 and equation 1; scaled by what the whole batch kept, as in the
        authors' code (tensorflow/tpu, `resnet_model.py`).
    """

    spatial_rank: ClassVar[int] = 3
