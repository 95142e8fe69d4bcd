"""Public conformance checks: what every layer and every kernel of the pack must do, and yours may be held to.

Both checks raise `AssertionError` naming the check and the layer or kernel that failed, and return nothing.
"""

from keras_normpack.testing.kernels import check_kernel
from keras_normpack.testing.layers import check_layer

__all__ = ["check_kernel", "check_layer"]
