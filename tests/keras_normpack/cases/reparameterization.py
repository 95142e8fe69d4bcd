"""Wrappers that compute a layer's kernel anew in every call."""

from keras import layers

from keras_normpack import WeightNormalization, WeightStandardization
from tests.keras_normpack.cases import Case

CASES = [
    Case("weight_dense", lambda: WeightNormalization(layers.Dense(3)), ((6,),)),
    Case("weight_conv", lambda: WeightNormalization(layers.Conv2D(3, 3, activation="relu")), ((8, 8, 4),)),
    Case("weight_transposed", lambda: WeightNormalization(layers.Conv2DTranspose(3, 3)), ((8, 8, 4),)),
    Case("weight_separable", lambda: WeightNormalization(layers.SeparableConv2D(3, 3)), ((8, 8, 4),)),
    Case("weight_lstm", lambda: WeightNormalization(layers.LSTM(3, return_sequences=True)), ((5, 4),)),
    Case("weight_bidirectional", lambda: layers.Bidirectional(WeightNormalization(layers.GRU(3))), ((5, 4),)),
    Case("weight_cell", lambda: layers.RNN(WeightNormalization(layers.SimpleRNNCell(3))), ((5, 4),)),
    Case("standardized_conv", lambda: WeightStandardization(layers.Conv2D(3, 3)), ((8, 8, 4),)),
    Case("standardized_scaled", lambda: WeightStandardization(layers.Conv2D(3, 3), gain=1.7), ((8, 8, 4),)),
    Case("standardized_dense", lambda: WeightStandardization(layers.Dense(3)), ((6,),)),
]
