"""Forward and backward passes written for few trips to memory, in `keras.ops`, for backends that compile them.

Each module has `passes(...)`, which gives a forward and a backward function for fixed arguments:

- `forward(inputs, *weights)` returns the outputs, of which the first is differentiated, and what backward needs.
- `backward(cotangent, inputs, *weights, *kept)` returns one gradient per argument of forward.

Channels are on the last axis, weights are float32, and all is computed in float32.
"""

from keras_normpack.kernels.passes import (
    batch_normalization,
    group_normalization,
    layer_normalization,
    rms_normalization,
)

__all__ = ["batch_normalization", "group_normalization", "layer_normalization", "rms_normalization"]
