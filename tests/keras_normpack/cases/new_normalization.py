"""Normalizations that Keras does not have."""

from keras_normpack import (
    TLU,
    DynamicTanh,
    FilterResponseNormalization,
    GlobalResponseNormalization,
    LayerScale,
)
from tests.keras_normpack.cases import Case

CASES = [
    Case("filter_response", lambda: FilterResponseNormalization(learned_epsilon=True), ((8, 8, 4),)),
    Case("filter_response_channels_first", lambda: FilterResponseNormalization(axis=[2]), ((4, 9),)),
    Case("tlu", lambda: TLU(affine=True), ((8, 8, 4),)),
    Case("global_response", GlobalResponseNormalization, ((8, 8, 4),)),
    Case("dynamic_tanh", DynamicTanh, ((9, 4),)),
    Case("layer_scale", lambda: LayerScale(axis=1), ((4, 9),)),
]
