"""Kernels for the JAX backend; imported only when that is the current one.

What JAX makes of the references of batch and instance normalization was measured to be as fast as our passes.
"""

from keras_normpack.kernels.compiled import compiled_operations
from keras_normpack.kernels.jax import suitability
from keras_normpack.kernels.jax.custom_vjp import differentiable
from keras_normpack.kernels.registry import Kernel

_COMPILED = compiled_operations(differentiable)

KERNELS = (
    Kernel("group_normalization", _COMPILED["group_normalization"], suitability.positions),
    Kernel("layer_normalization", _COMPILED["layer_normalization"], suitability.features),
    Kernel("rms_normalization", _COMPILED["rms_normalization"], suitability.features),
)
