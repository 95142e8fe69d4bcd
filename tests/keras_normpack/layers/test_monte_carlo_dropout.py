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


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_predictions_drop_the_rate_in_graphs(noise_shape):
    rate, size = 0.3, 20000
    model = keras.Sequential([keras.Input((2,)), MonteCarloDropout(rate, noise_shape=noise_shape, seed=3)])
    outputs = model.predict(np.ones((size, 2)), batch_size=size, verbose=0)
    kept = outputs > 0
    np.testing.assert_allclose(outputs[kept], 1 / (1 - rate), rtol=1e-6)
    draws = size if noise_shape else 2 * size
    assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / draws)
    assert (kept[:, 0] == kept[:, 1]).all() == bool(noise_shape)


@pytest.mark.tensorflow_only
def test_goes_on_dropping_on_a_phone_without_flex():
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    model = keras.Sequential([keras.Input((500,), batch_size=1), MonteCarloDropout(0.25)])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    runner = Interpreter(model_content=converter.convert()).get_signature_runner()
    inputs = dict.fromkeys(runner.get_input_details(), np.ones((1, 500), "float32"))
    first, second = (next(iter(runner(**inputs).values())) for _ in range(2))
    assert (first != second).any()
    for outputs in (first, second):
        np.testing.assert_allclose(outputs[outputs > 0], 4 / 3, rtol=1e-6)
        assert abs((outputs > 0).mean() - 0.75) < 5 * np.sqrt(0.25 * 0.75 / 500)
