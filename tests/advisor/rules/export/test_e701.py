import keras
from keras import layers

from advisor import advise


def look(model):
    return advise(model, select="E701", target="mobile", verbose=0).findings


def test_one_finding_lists_the_layers_of_a_pre_activation_network():
    model = keras.applications.ResNet50V2(weights=None, input_shape=(32, 32, 3), include_top=False)
    (finding,) = look(model)
    assert len(finding.layers) == 17
    assert "34 extra operators" in finding.message
    assert finding.fix is None


def test_post_activation_networks_fold_wholly():
    assert not look(keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), include_top=False))


def test_reasons_are_kept_apart():
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="after_input")(inputs)
    x = layers.BatchNormalization(name="after_relu")(layers.Conv2D(4, 3, activation="relu")(x))
    conv = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.Add()([layers.BatchNormalization(name="branch")(conv), conv])
    found = {finding.layers: finding.message for finding in look(keras.Model(inputs, x))}
    assert set(found) == {("after_input",), ("after_relu",), ("branch",)}
    assert "activation" in found["after_relu",]
    assert "read by others" in found["branch",]


def test_every_call_of_a_shared_norm_costs():
    first, second, norm = keras.Input((4,)), keras.Input((4,)), layers.BatchNormalization(name="norm")
    (finding,) = look(keras.Model([first, second], layers.Add()([norm(first), norm(second)])))
    assert "4 extra operators" in finding.message
