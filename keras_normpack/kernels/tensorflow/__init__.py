"""Kernels for the TensorFlow backend; imported only when that is the current one."""

from keras_normpack.kernels.registry import Kernel
from keras_normpack.kernels.tensorflow import batch_normalization

KERNELS = (Kernel("batch_normalization", batch_normalization.fused, batch_normalization.is_faster),)
