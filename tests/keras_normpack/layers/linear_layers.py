"""Linear layers of every kind that the weight wrappers take, and values to try them on."""

import keras
import numpy as np
import pytest
from keras import layers

# Keras computes in float64 on TensorFlow alone.
EXACT = 1e-9 if keras.backend.backend() == "tensorflow" else 2e-5

# Layer, shape of its inputs, axes of its kernel that are summed over for one output channel.
LINEAR_LAYERS = [
    (lambda **kw: layers.Dense(4, **kw), (16, 5), (0,)),
    (lambda **kw: layers.Dense(4, **kw), (16, 3, 5), (0,)),
    (lambda **kw: layers.Conv1D(4, 3, **kw), (4, 9, 5), (0, 1)),
    (lambda **kw: layers.Conv2D(4, 3, strides=2, **kw), (4, 9, 8, 5), (0, 1, 2)),
    (lambda **kw: layers.Conv2D(4, 3, groups=2, **kw), (4, 6, 6, 6), (0, 1, 2)),
    (lambda **kw: layers.Conv3D(4, 2, **kw), (4, 4, 5, 4, 3), (0, 1, 2, 3)),
    (lambda **kw: layers.Conv1DTranspose(4, 3, **kw), (4, 6, 5), (0, 2)),
    (lambda **kw: layers.Conv2DTranspose(4, 3, strides=2, **kw), (4, 5, 5, 3), (0, 1, 3)),
    (lambda **kw: layers.Conv3DTranspose(4, 2, **kw), (4, 3, 3, 3, 2), (0, 1, 2, 4)),
    (lambda **kw: layers.DepthwiseConv1D(3, depth_multiplier=2, **kw), (4, 9, 5), (0,)),
    (lambda **kw: layers.DepthwiseConv2D(3, depth_multiplier=2, **kw), (4, 7, 7, 5), (0, 1)),
    (lambda **kw: layers.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d", **kw), (8, 3, 5), (0,)),
    (lambda **kw: layers.EinsumDense("abc,cde->abed", (None, 3, 4), bias_axes="ed", **kw), (8, 3, 5), (0,)),
    (lambda **kw: layers.EinsumDense("...x,xy->...y", 4, bias_axes="y", **kw), (8, 3, 5), (0,)),
]
NAMES = [f"{make().__class__.__name__}-{index}" for index, (make, _, _) in enumerate(LINEAR_LAYERS)]
linear_layers = pytest.mark.parametrize(("make", "shape", "summed"), LINEAR_LAYERS, ids=NAMES)


def batch(shape):
    return np.random.default_rng(0).normal(2.0, 3.0, shape)


def randomize(layer):
    generator = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(generator.uniform(-1.5, 1.5, variable.shape))


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)
