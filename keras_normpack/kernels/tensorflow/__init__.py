"""Kernels for the TensorFlow backend; imported only when that is the current one."""

from keras_normpack.kernels.compiled import compiled_operations
from keras_normpack.kernels.registry import Kernel
from keras_normpack.kernels.tensorflow import batch_normalization, suitability
from keras_normpack.kernels.tensorflow.compiled import differentiable

_COMPILED = compiled_operations(differentiable)

KERNELS = (
    Kernel("batch_normalization", batch_normalization.native, batch_normalization.is_faster),
    Kernel("batch_normalization", _COMPILED["batch_normalization"], suitability.batch),
    Kernel("group_normalization", _COMPILED["group_normalization"], suitability.positions),
    Kernel("instance_normalization", _COMPILED["instance_normalization"], suitability.positions),
    Kernel("layer_normalization", _COMPILED["layer_normalization"], suitability.features),
    Kernel("rms_normalization", _COMPILED["rms_normalization"], suitability.features),
)
