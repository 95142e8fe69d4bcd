"""Normalizations that Keras does not have."""

import keras

from keras_normpack import (
    TLU,
    AdaptiveInstanceNormalization,
    BatchNormalization,
    ConditionalNormalization,
    DynamicTanh,
    FilterResponseNormalization,
    GlobalResponseNormalization,
    InstanceNormalization,
    LayerScale,
    ReversibleInstanceNormalization,
)
from tests.keras_normpack.cases import Case


def forecaster() -> keras.Model:
    """There and back: a forecast of 4 steps from 12."""
    inputs = keras.Input((12, 3))
    revin, swap = ReversibleInstanceNormalization(), keras.layers.Permute((2, 1))
    normalized, statistics = revin(inputs)
    return keras.Model(inputs, revin.denormalize(swap(keras.layers.Dense(4)(swap(normalized))), statistics))


CASES = [
    Case("instance", InstanceNormalization, ((8, 8, 4),)),
    Case("instance_channels_first", lambda: InstanceNormalization(axis=1), ((4, 9),)),
    Case("filter_response", lambda: FilterResponseNormalization(learned_epsilon=True), ((8, 8, 4),)),
    Case("filter_response_channels_first", lambda: FilterResponseNormalization(axis=[2]), ((4, 9),)),
    Case("tlu", lambda: TLU(affine=True), ((8, 8, 4),)),
    Case("global_response", GlobalResponseNormalization, ((8, 8, 4),)),
    Case("dynamic_tanh", DynamicTanh, ((9, 4),)),
    Case("layer_scale", lambda: LayerScale(axis=1), ((4, 9),)),
    Case("adaptive_instance", AdaptiveInstanceNormalization, ((8, 8, 4), (6, 5, 4))),
    Case("reversible_instance", ReversibleInstanceNormalization, ((12, 3),)),
    Case("reversible_instance_last", lambda: ReversibleInstanceNormalization(subtract_last=True), ((12, 3),)),
    Case("reversible_instance_forecast", forecaster, ((12, 3),)),
    Case("conditional_batch", lambda: ConditionalNormalization(BatchNormalization()), ((8, 8, 4), (5,))),
    Case(
        "conditional_instance_channels_first",
        lambda: ConditionalNormalization(InstanceNormalization(axis=1)),
        ((4, 6, 5), (3, 6, 5)),
    ),
]
