"""Fused forward and backward kernels behind one registry, each with one `keras.ops` reference.

An operation is a function in `reference`. A backend may have kernels of the same signature for it, and a kernel says
for which calls it is chosen: those for which it was measured to be faster than the reference.
"""

from keras_normpack.kernels.call import Call
from keras_normpack.kernels.registry import Kernel, choose, fastest, kernels, reference

__all__ = ["Call", "Kernel", "choose", "fastest", "kernels", "reference"]
