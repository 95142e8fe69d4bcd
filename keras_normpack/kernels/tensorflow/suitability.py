"""For which calls compiled passes were measured to be faster than the reference."""

from keras_normpack.kernels.call import Call
from keras_normpack.kernels.tensorflow.device import being_compiled, can_compile, only_cpu_visible

# Measured on two CPU cores, forward and backward, against Keras 3.15.1. Below this size a compiled call's fixed cost,
# about 0.1 ms, outweighs what it saves (0.76 to 1.8×); above, in graphs, every shape tried was faster (1.2 to 4.5×).
_FEWEST_ELEMENTS = 2**17
# Where XLA compiles the whole, Keras's layer has no such cost, and fewer than these are as fast or faster by it.
_FEWEST_CHANNELS_UNDER_XLA = 16
_FEWEST_POSITIONS_UNDER_XLA = 16
_DTYPES = ("float32", "float16", "bfloat16")


def features(call: Call) -> bool:
    """Tells whether compiled passes along the last axis pay.

    Every new shape is compiled anew, which takes some tenths of a second, so all sizes but the batch must be fixed.
    """
    return (
        call.training
        and only_cpu_visible()
        and can_compile()
        and call.dtype in _DTYPES
        and call.axis == len(call.shape) - 1
        and None not in call.shape[1:]
        and call.elements >= _FEWEST_ELEMENTS
        and (call.channels >= _FEWEST_CHANNELS_UNDER_XLA or not being_compiled())
    )


def positions(call: Call) -> bool:
    """Tells whether compiled passes over the positions of each sample pay."""
    return (
        len(call.shape) > 2
        and features(call)
        and (call.positions >= _FEWEST_POSITIONS_UNDER_XLA or not being_compiled())
    )


def batch(call: Call) -> bool:
    """Tells whether compiled passes over the batch pay: under XLA, which takes the native operation apart."""
    return features(call) and being_compiled()
