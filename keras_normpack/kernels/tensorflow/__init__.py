"""Kernels for the TensorFlow backend; imported only when that is the current one."""

from keras_normpack.kernels.registry import Kernel
from keras_normpack.kernels.tensorflow import (
    batch_normalization,
    group_normalization,
    layer_normalization,
    rms_normalization,
)

KERNELS = (
    Kernel("batch_normalization", batch_normalization.native, batch_normalization.native_is_faster),
    Kernel("batch_normalization", batch_normalization.compiled, batch_normalization.compiled_is_faster),
    Kernel("group_normalization", group_normalization.compiled, group_normalization.is_faster),
    Kernel("instance_normalization", group_normalization.compiled_instance, group_normalization.is_faster),
    Kernel("layer_normalization", layer_normalization.compiled, layer_normalization.is_faster),
    Kernel("rms_normalization", rms_normalization.compiled, rms_normalization.is_faster),
)
