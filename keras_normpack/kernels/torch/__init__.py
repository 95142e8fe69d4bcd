"""Kernels for the torch backend, all of them torch's native ones; imported only when that is the current backend."""

from keras_normpack.kernels.registry import Kernel
from keras_normpack.kernels.torch import normalization, suitability

KERNELS = (
    Kernel("batch_normalization", normalization.batch_normalization, suitability.on_cpu),
    Kernel("group_normalization", normalization.group_normalization, suitability.on_cpu),
    Kernel("instance_normalization", normalization.instance_normalization, suitability.on_cpu),
    Kernel("layer_normalization", normalization.layer_normalization, suitability.on_cpu),
)
