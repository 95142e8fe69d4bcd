"""`MonteCarloDropout` is Keras's Dropout, always on."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import MonteCarloDropout


@pytest.mark.parametrize("training", [None, False, True])
def test_drops_the_rate_and_scales_the_rest(training):
    rate, size = 0.3, 40000
    outputs = ops.convert_to_numpy(MonteCarloDropout(rate, seed=0)(np.ones((size, 1)), training=training))
    kept = outputs > 0
    np.testing.assert_allclose(outputs[kept], 1 / (1 - rate), rtol=1e-6)
    assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / size)


def test_predictions_differ_and_survive_saving(tmp_path):
    model = keras.Sequential([keras.Input((50,)), MonteCarloDropout(0.5, noise_shape=(None, 50), seed=1)])
    path = tmp_path / "model.keras"
    model.save(path)
    for each in (model, keras.saving.load_model(path)):
        first, second = (each.predict(np.ones((4, 50)), verbose=0) for _ in range(2))
        assert (first != second).any()
    layer = keras.saving.load_model(path).layers[0]
    assert layer.get_config() == model.layers[0].get_config()


def test_is_interchangeable_with_dropout():
    assert issubclass(MonteCarloDropout, keras.layers.Dropout)
    config = keras.layers.Dropout(0.2, noise_shape=(None, 1), seed=3, name="same").get_config()
    assert MonteCarloDropout.from_config(config).get_config() == config


def test_the_mask_goes_on():
    inputs = keras.Input((5, 2))
    outputs = MonteCarloDropout(0.5)(keras.layers.Masking()(inputs))
    assert outputs._keras_mask is not None
