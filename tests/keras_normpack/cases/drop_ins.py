"""The layers that stand in for Keras's own."""

from keras_normpack import BatchNormalization, GroupNormalization, LayerNormalization, RMSNormalization
from tests.keras_normpack.cases import Case

CASES = [
    Case("batch", BatchNormalization, ((8, 8, 4),)),
    Case("batch_channels_first", lambda: BatchNormalization(axis=1), ((4, 9),)),
    Case("batch_ghosts", lambda: BatchNormalization(virtual_batch_size=3), ((8, 8, 4),)),
    Case("batch_renorm", lambda: BatchNormalization(renorm=True), ((8, 8, 4),)),
    Case("layer", LayerNormalization, ((9, 4),)),
    Case("layer_several_axes", lambda: LayerNormalization(axis=(1, 2)), ((9, 4),)),
    Case("group", lambda: GroupNormalization(2), ((8, 8, 4),)),
    Case("group_channels_first", lambda: GroupNormalization(-1, axis=1), ((4, 9),)),
    Case("rms", RMSNormalization, ((9, 4),)),
    Case("rms_unit_offset", lambda: RMSNormalization(axis=1, unit_offset=True), ((4, 4),)),
]
