"""For which calls our passes were measured to be faster than the reference."""

import jax

from keras_normpack.kernels.call import Call

# Measured on two CPU cores, forward and backward, against Keras 3.15.1.
_FEWEST_ELEMENTS = 2**16
_DTYPES = ("float32", "float16", "bfloat16")


def features(call: Call) -> bool:
    """Tells whether passes along the last axis pay."""
    return (
        call.training
        and jax.default_backend() == "cpu"
        and call.dtype in _DTYPES
        and call.axis == len(call.shape) - 1
        and None not in call.shape[1:]
        and call.elements >= _FEWEST_ELEMENTS
    )


def positions(call: Call) -> bool:
    """Tells whether passes over the positions of each sample pay."""
    return len(call.shape) > 2 and features(call)
