"""Wrappers that compute a layer's kernel anew in every call."""

from keras import layers

from keras_normpack import WeightNormalization
from tests.keras_normpack.cases import Case

CASES = [
    Case("weight_dense", lambda: WeightNormalization(layers.Dense(3)), ((6,),)),
    Case("weight_conv", lambda: WeightNormalization(layers.Conv2D(3, 3, activation="relu")), ((8, 8, 4),)),
    Case("weight_transposed", lambda: WeightNormalization(layers.Conv2DTranspose(3, 3)), ((8, 8, 4),)),
    Case("weight_separable", lambda: WeightNormalization(layers.SeparableConv2D(3, 3)), ((8, 8, 4),)),
]
