import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor import advise
from advisor.testing import structure
from tests.advisor import architectures


def _advice(model, select="N116", **arguments):
    return advise(model, select=select, trained=False, verbose=0, **arguments)


def test_all_defects_are_one_finding_and_one_fix():
    broken = architectures.selu_network("he_normal", layers.Dropout, layers.BatchNormalization)
    for arguments in ({}, {"batch_size": 4}):
        advice = _advice(broken, "N", **arguments)
        assert [finding.code for finding in advice.findings] == ["N116"]
        assert structure(advice.apply()) == structure(architectures.selu_network())


def test_kernels_get_the_variance_of_lecun():
    model = architectures.selu_network("he_normal", units=256)
    variances = [np.var(ops.convert_to_numpy(layer.kernel)) * layer.kernel.shape[0] for layer in _dense(_fixed(model))]
    np.testing.assert_allclose(variances, 1.0, rtol=0.1)
    # Not the same values in layers of the same shape.
    second, third = (ops.convert_to_numpy(layer.kernel) for layer in _dense(_fixed(model))[1:])
    assert np.abs(second - third).max() > 0.01


def _fixed(model):
    return _advice(model).apply()


def _dense(model):
    return [layer for layer in model.layers if isinstance(layer, layers.Dense) and layer.units > 3]


def test_it_normalizes_itself_afterwards():
    broken = architectures.selu_network("he_normal", hidden=8, units=256)
    features = np.random.default_rng(0).normal(size=(512, 10)).astype("float32")

    def deviation(model):
        inner = keras.Model(model.inputs[0], model.layers[-2].output)
        return float(np.std(ops.convert_to_numpy(inner(features))))

    assert abs(deviation(_fixed(broken)) - 1) < 0.25
    assert deviation(broken) > 1.5


def test_a_bias_that_the_normalization_made_superfluous_comes_back():
    inputs = x = keras.Input((8, 8, 3))
    for _ in range(2):
        x = layers.Conv2D(4, 3, use_bias=False, kernel_initializer="lecun_normal")(x)
        x = ops.selu(layers.BatchNormalization()(x))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    fixed = _fixed(model)
    convolutions = [layer for layer in fixed.layers if isinstance(layer, layers.Conv2D)]
    assert [layer.use_bias for layer in convolutions] == [True, True]
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in fixed.layers)


def test_what_others_chose_stays():
    features = x = keras.Input((10,))
    for _ in range(2):
        x = layers.Dense(8, activation="selu", kernel_initializer=keras.initializers.RandomNormal(stddev=0.3))(x)
    model = keras.Model(features, layers.Dense(2)(layers.LayerNormalization()(layers.GaussianDropout(0.1)(x))))
    assert not _advice(model).findings


@pytest.mark.parametrize("relu_layers", [1, 2])
def test_most_hidden_layers_must_have_selu(relu_layers):
    features = x = keras.Input((10,))
    for activation in ["selu", "selu", *["relu"] * relu_layers]:
        x = layers.Dense(8, activation=activation, kernel_initializer="glorot_uniform")(x)
    model = keras.Model(features, layers.Dense(2)(x))
    assert len(_advice(model).findings) == (1 if relu_layers == 1 else 0)


def test_normalization_of_the_data_stays():
    inner = [layers.Dense(8, activation="selu", kernel_initializer="lecun_normal") for _ in range(2)]
    model = keras.Sequential([keras.Input((10,)), layers.BatchNormalization(), *inner, layers.Dense(2)])
    assert not _advice(model).findings


def test_a_shared_normalization_is_taken_out_at_every_call():
    norm = layers.BatchNormalization()
    features = x = keras.Input((8,))
    for _ in range(2):
        x = norm(layers.Dense(8, activation="selu", kernel_initializer="lecun_normal")(x))
    fixed = _fixed(keras.Model(features, layers.Dense(2)(x)))
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in fixed.layers)
