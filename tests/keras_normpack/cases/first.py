"""The parts the pack began with."""

from keras_normpack import DropPath, InstanceNormalization
from tests.keras_normpack.cases import Case

CASES = [
    Case("instance", InstanceNormalization, ((8, 8, 4),)),
    Case("instance_channels_first", lambda: InstanceNormalization(axis=1), ((4, 9),)),
    Case("drop_path", lambda: DropPath(0.3), ((8, 8, 4),)),
]
