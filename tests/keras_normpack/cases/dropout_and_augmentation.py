"""Layers that drop or change values at random in training, and leave them alone at inference."""

from keras_normpack import (
    DropBlock1D,
    DropBlock2D,
    DropBlock3D,
    DropPath,
    RandomJitter,
    RandomScaling,
    RandomTimeShift,
    SpecAugment,
    StochasticDepth,
)
from tests.keras_normpack.cases import Case

CASES = [
    Case("drop_path", lambda: DropPath(0.3), ((8, 8, 4),)),
    Case("drop_block_1d", lambda: DropBlock1D(0.3, 3), ((9, 4),)),
    Case("drop_block_2d", lambda: DropBlock2D(0.3, (3, 2), per_channel=False), ((8, 6, 4),)),
    Case("drop_block_2d_channels_first", lambda: DropBlock2D(0.3, 3, data_format="channels_first"), ((4, 8, 6),)),
    Case("drop_block_3d", lambda: DropBlock3D(0.3, 2), ((5, 4, 6, 2),)),
    Case("stochastic_depth", lambda: StochasticDepth(0.7), ((5, 4), (5, 4))),
    Case("random_time_shift", lambda: RandomTimeShift(0.5), ((9, 4),)),
    Case("random_jitter", lambda: RandomJitter(2.0), ((9, 4),)),
    Case("random_scaling", lambda: RandomScaling(0.5), ((9, 4),)),
    Case("spec_augment", SpecAugment, ((9, 4),)),
]
