"""Weight standardization: after the batch normalizations of a deep network have gone, and seen by other rules."""

from dataclasses import replace

import keras
import numpy as np
from keras import layers

from advisor import advise
from advisor.rules import all_rules
from keras_normpack import WeightStandardization


def test_a_resnet_at_batch_2_gets_group_normalization_and_then_standardized_kernels():
    model = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=10)
    rewrite = advise(model, select="N", batch_size=2).rewrite()
    assert {applied.finding.code for applied in rewrite.applied} == {"N101", "N102", "N119"}
    assert not rewrite.skipped
    convolutions = [layer for layer in rewrite.model.layers if "conv" in layer.name and layer.weights]
    kinds = {type(layer) for layer in convolutions if not layer.name.endswith("bn")}
    assert kinds == {WeightStandardization}
    assert [layer.name for layer in rewrite.model.layers] == [layer.name for layer in model.layers]
    assert not advise(rewrite.model, select="N", batch_size=2).findings


def test_nothing_is_folded_into_a_standardized_convolution_and_nothing_inserted():
    convolutions = [WeightStandardization(layers.Conv2D(4, 3, padding="same")) for _ in range(4)]
    norm = layers.BatchNormalization(name="norm")
    inner = [*convolutions, norm, layers.ReLU(), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    advice = advise(keras.Sequential([keras.Input((8, 8, 3)), *inner]), select=["N", "E701"], target="mobile")
    # For the phone the kernels are baked first, and then the last one takes the normalization up.
    assert advice.findings == ()


def test_the_data_must_be_images():
    inputs = maps = keras.Input((8, 8, 3))
    for _ in range(10):
        maps = layers.GroupNormalization(2)(layers.Conv2D(8, 3, padding="same")(maps))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 3))
    for modality, speaks in (("image", True), ("series", False)):
        facts = advise(model, select="N119", batch_size=2, data=images).examination.facts
        facts = replace(facts, data=replace(facts.data, modality=modality))
        assert bool(list(all_rules()["N119"].check(facts))) is speaks


def test_pointwise_and_branching_convolutions():
    inputs = maps = keras.Input((8, 8, 1))
    maps = layers.Conv2D(8, 1, name="single_entry")(maps)
    maps = layers.GroupNormalization(2)(maps)
    for number in range(10):
        conv = layers.Conv2D(8, 1, name=f"pointwise_{number}")(maps)
        maps = layers.ReLU()(layers.GroupNormalization(2)(conv))
    branch = layers.Conv2D(8, 3, padding="same", name="branch")(maps)
    maps = layers.Add()([branch, layers.GroupNormalization(2)(branch)])
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))
    (finding,) = advise(model, select="N119", batch_size=2).findings
    assert finding.layers == tuple(f"pointwise_{number}" for number in range(10))


def test_mobile_networks_are_left_alone():
    model = keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3), classes=10)
    rewrite = advise(model, select="N", batch_size=2).rewrite()
    assert {applied.finding.code for applied in rewrite.applied} == {"N102"}
