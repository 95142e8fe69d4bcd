import keras
import pytest
from keras import layers

from advisor import advise
from keras_normpack import WeightNormalization


def look(model):
    return advise(model, select="E701", target="mobile", verbose=0).findings


def test_a_pre_activation_network_keeps_its_norms():
    model = keras.applications.ResNet50V2(weights=None, input_shape=(32, 32, 3), include_top=False)
    after_pooling, after_additions = look(model)
    assert after_pooling.layers == ("conv2_block1_preact_bn",)
    assert "zeros are padded on the way" in after_pooling.message
    assert len(after_additions.layers) == 16
    assert "32 extra operators" in after_additions.message
    assert after_additions.fix is None


def test_post_activation_networks_fold_wholly():
    assert not look(keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), include_top=False))


def test_reasons_are_kept_apart():
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="after_input")(inputs)
    x = layers.BatchNormalization(name="after_relu")(layers.Conv2D(4, 3, padding="same", activation="relu")(x))
    conv = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.Add()([layers.BatchNormalization(name="branch")(conv), conv])
    found = {finding.layers: finding.message for finding in look(keras.Model(inputs, x))}
    assert set(found) == {("after_input",), ("after_relu",), ("branch",)}
    assert "does not follow a convolution or dense layer, and zeros are padded" in found["after_input",]
    assert "after an activation, and zeros are padded" in found["after_relu",]
    assert "read by others" in found["branch",]


def _max_pooled(gamma):
    norm = layers.BatchNormalization(name="norm", gamma_initializer=keras.initializers.Constant(gamma))
    conv, pool = layers.Conv2D(4, 3), layers.MaxPooling2D()
    return keras.Sequential([keras.Input((8, 8, 3)), conv, pool, norm, layers.ReLU()])


def test_what_depends_on_the_weights_counts_on_a_trained_model_only():
    def found(gamma, trained):
        return advise(_max_pooled(gamma), select="E701", target="mobile", trained=trained, verbose=0).findings

    assert not found(0.5, True)
    for gamma, trained in ((-0.5, True), (0.5, False)):
        (finding,) = found(gamma, trained)
        assert "a negative scale would make a minimum, and an activation follows it" in finding.message


def test_a_class_of_its_own_may_compute_something_else():
    class Halved(layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            return super().call(inputs, training=training, mask=mask) / 2

    (finding,) = look(keras.Sequential([keras.Input((4,)), layers.Dense(3), Halved()]))
    assert "its class computes in its own way" in finding.message


@pytest.mark.parametrize("wrap", [WeightNormalization, layers.SpectralNormalization])
def test_computed_kernels_are_baked_before_they_fold(wrap):
    assert not look(keras.Sequential([keras.Input((4,)), wrap(layers.Dense(3)), layers.BatchNormalization()]))


def test_every_call_of_a_shared_norm_costs():
    first, second, norm = keras.Input((4,)), keras.Input((4,)), layers.BatchNormalization(name="norm")
    (finding,) = look(keras.Model([first, second], layers.Add()([norm(first), norm(second)])))
    assert "4 extra operators" in finding.message
