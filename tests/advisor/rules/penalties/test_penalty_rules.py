import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise


def look(model, code, **arguments):
    return advise(model, select=code, verbose=0, trained=False, **arguments)


def backbone_regularized_afterwards():
    convs = [layers.Conv2D(4, 3, name="first"), layers.DepthwiseConv2D(3, name="second")]
    backbone = keras.Sequential([keras.Input((8, 8, 3)), *convs], name="backbone")
    model = keras.Sequential([keras.Input((8, 8, 3)), backbone, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    convs[0].kernel_regularizer = keras.regularizers.L2(1e-2)
    return model


def test_the_penalty_counts_once_it_is_bound():
    model = backbone_regularized_afterwards()
    assert model.losses == []
    mended = look(model, "R301").apply()
    (penalty,) = mended.losses
    kernel = model.get_layer("backbone").get_layer("first").kernel
    np.testing.assert_allclose(penalty, 1e-2 * np.sum(np.square(kernel)), rtol=1e-6)
    assert model.losses == []
    for old, new in zip(model.get_weights(), mended.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_shared_layer_is_reported_once():
    first, second, dense = keras.Input((6,)), keras.Input((6,)), layers.Dense(2, name="shared")
    model = keras.Model([first, second], layers.Add()([dense(first), dense(second)]))
    dense.kernel_regularizer = keras.regularizers.L1(1e-3)
    advice = look(model, "R301")
    assert [finding.layers for finding in advice.findings] == [("shared",)]
    assert len(advice.apply().losses) == 1


def test_inside_a_wrapper_the_layer_that_does_the_work_is_rebound():
    dense = layers.Dense(2)
    model = keras.Sequential([keras.Input((5, 6)), layers.TimeDistributed(dense)])
    dense.kernel_regularizer = keras.regularizers.L2(1e-3)
    assert len(look(model, "R301").apply().losses) == 1


def mlp(optimizer="adam", **arguments):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(32, **arguments), layers.Dense(2, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def samples(count):
    generator = np.random.default_rng(0)
    return {"data": (generator.normal(size=(count, 6)), generator.integers(0, 2, count)), "batch_size": 16}


def test_the_plan_decays_and_the_advice_is_then_silent():
    model = mlp()
    advice = look(model, "R305", **samples(64))
    (finding,) = advice.findings
    assert finding.fix is None
    assert "64 training samples for 290 trainable weights" in finding.message
    advice.plan.compile(model)
    assert model.optimizer.weight_decay == 1e-4
    assert not look(model, "R305", **samples(64)).findings


@pytest.mark.parametrize("count", [289, 290, 1000])
def test_the_threshold_is_one_sample_per_weight(count):
    assert bool(look(mlp(), "R305", **samples(count)).findings) == (count < 290)


def test_a_dead_regularizer_is_meant_as_decay():
    model = mlp()
    model.layers[0].kernel_regularizer = keras.regularizers.L2(1e-4)
    assert not look(model, "R305", **samples(64)).findings
    assert look(model, "R301").findings


def test_a_shared_layer_counts_once():
    first, second, dense = keras.Input((6,)), keras.Input((6,)), layers.Dense(40)
    model = keras.Model([first, second], layers.Add()([dense(first), dense(second)]))
    generator = np.random.default_rng(0)
    inputs = [generator.normal(size=(100, 6)) for _ in range(2)]
    (finding,) = look(model, "R305", data=(inputs, np.zeros((100, 40))), batch_size=8).findings
    assert "280 trainable weights" in finding.message
