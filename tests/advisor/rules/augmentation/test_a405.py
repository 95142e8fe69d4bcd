import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise
from advisor.testing import randomize_weights


def look(model, **arguments):
    return advise(model, select="A405", verbose=0, **arguments)


def _fine_tuned(top=20, *, live_norms=False):
    """The tutorial's way: all but the top frozen, batch normalization forgotten or not."""
    backbone = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    randomize_weights(backbone)
    for layer in backbone.layers[:-top]:
        layer.trainable = live_norms and isinstance(layer, layers.BatchNormalization)
    inputs = keras.Input((32, 32, 3))
    features = layers.GlobalAveragePooling2D()(backbone(inputs))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(features))


def test_a_backbone_frozen_at_the_bottom_as_a_whole_is_fine():
    assert not look(_fine_tuned()).findings


def test_norms_left_live_are_one_finding_and_one_fix():
    model = _fine_tuned(live_norms=True)
    advice = look(model)
    (finding,) = advice.findings
    assert len(finding.layers) > 40
    assert finding.fix.safety == "exact"
    fixed = advice.apply()
    norms = [layer for layer in fixed.layers[1].layers[:-20] if isinstance(layer, layers.BatchNormalization)]
    assert not any(layer.trainable for layer in norms)
    assert not look(fixed).findings


def test_the_fix_is_applied_to_a_trained_model_without_asking():
    advice = look(_fine_tuned(live_norms=True), trained=True)
    assert advice.rewrite().applied
    assert advice.rewrite().parity == 0.0


def test_after_the_fix_the_statistics_stay_in_training():
    backbone = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(name="norm")])
    inputs = keras.Input((8, 8, 3))
    features = layers.GlobalAveragePooling2D()(randomize_weights(backbone)(inputs, training=False))
    model = keras.Model(inputs, layers.Dense(1)(features))
    changes = {}
    for name, each in {"live": model, "fixed": look(model).apply()}.items():
        norm = each.layers[1].get_layer("norm")
        before = np.array(keras.ops.convert_to_numpy(norm.moving_mean.value))
        each.compile("sgd", "mse")
        each.fit(np.random.default_rng(0).normal(size=(8, 8, 8, 3)), np.zeros((8, 1)), verbose=0)
        changes[name] = float(np.abs(before - keras.ops.convert_to_numpy(norm.moving_mean.value)).max())
    assert changes["live"] > 0
    assert changes["fixed"] == 0


def test_it_reaches_into_layers_written_in_python():
    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.norm = layers.BatchNormalization(name="norm")

        def call(self, inputs, training=None):
            return self.norm(inputs, training=training)

    inputs = keras.Input((8, 8, 3))
    body = keras.Model(inputs, Block(name="block")(layers.Conv2D(4, 3)(inputs)), name="body")
    outer = keras.Input((8, 8, 3))
    outputs = layers.Dense(1)(layers.GlobalAveragePooling2D()(randomize_weights(body)(outer, training=False)))
    advice = look(keras.Model(outer, outputs))
    assert [finding.layers for finding in advice.findings] == [("body/block/norm",)]
    assert not advice.apply().get_layer("body").get_layer("block").norm.trainable


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetB0"])
def test_networks_that_are_trained_whole_are_left_alone(name):
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=4)
    assert not look(randomize_weights(model), trained=False).findings
