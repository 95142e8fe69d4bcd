import keras
import numpy as np
import pytest
from keras import layers

from advisor.export.prepare import prepare

RNG = np.random.default_rng(0)


def trained_looking(model):
    """Weights, moving averages included, as after some training, so that folding has something to get wrong."""
    model.set_weights([RNG.uniform(0.5, 1.5, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def test_training_layers_and_batch_norm_disappear_from_the_copy():
    model = trained_looking(
        keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                layers.GaussianNoise(0.1),
                layers.Conv2D(4, 3, use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.Dense(2),
            ]
        )
    )
    x = RNG.normal(size=(3, 8, 8, 3)).astype("float32")
    before, weights, names = model(x).numpy(), model.get_weights(), [layer.name for layer in model.layers]
    prepared = prepare(model)
    assert set(prepared.done) == {
        "removed 1 GaussianNoise",
        "removed 1 Dropout",
        "folded 1 BatchNormalization",
    }
    assert [type(layer).__name__ for layer in prepared.model.layers] == ["Conv2D", "ReLU", "Flatten", "Dense"]
    np.testing.assert_allclose(prepared.model(x), before, rtol=1e-5, atol=1e-5)
    assert [layer.name for layer in model.layers] == names
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_model_with_nothing_to_prepare_is_taken_as_it_is():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    prepared = prepare(model)
    assert prepared.model is model
    assert (prepared.done, prepared.refused) == ((), ())


@pytest.mark.parametrize("built", [False, True])
def test_a_model_that_cannot_be_rewritten_is_taken_as_it_is_and_said_so(built):
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.drop = layers.Dropout(0.5)

        def call(self, inputs):
            return self.drop(inputs)

    model = Own()
    if built:
        model(np.ones((1, 2)))
    prepared = prepare(model)
    assert prepared.model is model
    assert prepared.done == ()
    (reason,) = prepared.refused
    assert "own" in reason
