"""For which calls our passes were measured to be faster than the reference."""

import jax

from keras_normpack.kernels.call import Call

# Measured on two CPU cores, forward and backward, against Keras 3.15.1; the limits are those of XLA under TensorFlow.
_FEWEST_ELEMENTS = 2**17
_FEWEST_CHANNELS = 16
_FEWEST_POSITIONS = 16
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
        and call.channels >= _FEWEST_CHANNELS
    )


def positions(call: Call) -> bool:
    """Tells whether passes over the positions of each sample pay."""
    return len(call.shape) > 2 and features(call) and call.positions >= _FEWEST_POSITIONS
