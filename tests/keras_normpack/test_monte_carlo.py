"""`mc_predict` drops, leaves everything else in inference, and leaves the model as it was."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_normpack import DropBlock1D, DropPath, MonteCarloDropout, StochasticDepth, mc_predict

ONES = np.ones((6, 5, 8), "float32")


def model_of(*parts, shape=(5, 8)):
    return keras.Sequential([keras.Input(shape), *parts])


class Composite(keras.layers.Layer):
    """A layer of layers, not registered, as users write them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = layers.Dropout(0.5)

    def call(self, inputs):
        return self.dropout(inputs)


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)
        self.block = Composite()

    def call(self, inputs, training=False):
        return self.block(self.dense(inputs), training=training)

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True


def attention():
    inputs = keras.Input((5, 8))
    return keras.Model(inputs, layers.MultiHeadAttention(2, 4, dropout=0.5)(inputs, inputs))


def dot_attention():
    inputs = keras.Input((5, 8))
    return keras.Model(inputs, layers.Attention(dropout=0.5)([inputs, inputs]))


def two_input_depth():
    inputs = keras.Input((5, 8))
    return keras.Model(inputs, StochasticDepth(0.5)([inputs, inputs]))


DROPPING = {
    "dropout": lambda: model_of(layers.Dropout(0.5)),
    "monte_carlo": lambda: model_of(MonteCarloDropout(0.5)),
    "spatial": lambda: model_of(layers.SpatialDropout1D(0.5)),
    "alpha": lambda: model_of(layers.AlphaDropout(0.5)),
    "gaussian": lambda: model_of(layers.GaussianDropout(0.5)),
    "path": lambda: model_of(DropPath(0.5)),
    "block": lambda: model_of(DropBlock1D(0.5, 2, data_format="channels_last")),
    "depth": two_input_depth,
    "attention": attention,
    "dot_attention": dot_attention,
    "lstm": lambda: model_of(layers.LSTM(3, dropout=0.5)),
    "gru_recurrent": lambda: model_of(layers.GRU(3, recurrent_dropout=0.5)),
    "cells": lambda: model_of(layers.RNN([layers.SimpleRNNCell(3, dropout=0.5), layers.LSTMCell(3)])),
    "bidirectional": lambda: model_of(layers.Bidirectional(layers.LSTM(3, dropout=0.5))),
    "wrapped": lambda: model_of(layers.TimeDistributed(layers.Dropout(0.5))),
    "nested": lambda: model_of(model_of(layers.Dropout(0.5))),
    "composite": lambda: model_of(Composite()),
}


@pytest.mark.parametrize("name", DROPPING)
def test_whatever_drops_is_on_and_the_model_is_not_changed(name):
    model = DROPPING[name]()
    inputs = np.random.default_rng(0).normal(1.0, 1.0, (6, 5, 8)).astype("float32")
    plain = model.predict(inputs, verbose=0)
    before = [ops.convert_to_numpy(variable) for variable in model.variables]
    prediction = mc_predict(model, inputs, samples=4, batch_size=6, verbose=0, seed=0)
    assert prediction.standard_deviation.max() > 0.01
    assert prediction.mean.shape == prediction.standard_deviation.shape == model.compute_output_shape(inputs.shape)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)
    if name != "monte_carlo":
        np.testing.assert_array_equal(model.predict(inputs, verbose=0), plain)


def test_a_subclassed_model_drops():
    model = Subclassed()
    model(ONES)
    prediction = mc_predict(model, ONES, samples=3, verbose=0)
    assert prediction.standard_deviation.max() > 0.01


def test_mean_and_deviation_are_those_of_dropout():
    rate, samples = 0.3, 400
    prediction = mc_predict(model_of(layers.Dropout(rate)), ONES, samples, batch_size=4, verbose=0, seed=1)
    assert prediction.mean.dtype == np.float32
    deviation = np.sqrt(rate / (1 - rate))
    error = prediction.mean - 1
    assert (np.abs(error) < 5 * deviation / np.sqrt(samples)).all()
    assert np.abs(error.mean()) < 5 * deviation / np.sqrt(samples * error.size)
    # The outputs are 0 or 1 / (1 - rate), so that the mean alone tells the deviation.
    kept = prediction.mean.astype("float64") * (1 - rate)
    np.testing.assert_allclose(prediction.standard_deviation, np.sqrt(kept * (1 - kept)) / (1 - rate), rtol=1e-5)


def test_batch_normalization_and_noise_stay_in_inference():
    model = model_of(layers.BatchNormalization(), layers.GaussianNoise(0.9), layers.Dropout(1e-9))
    inputs = np.random.default_rng(0).normal(3.0, 2.0, (6, 5, 8)).astype("float32")
    prediction = mc_predict(model, inputs, samples=3, verbose=0)
    np.testing.assert_allclose(prediction.mean, model.predict(inputs, verbose=0), rtol=1e-6)
    np.testing.assert_array_equal(prediction.standard_deviation, 0)


def test_structure_of_inputs_and_outputs_stays():
    first, second = keras.Input((4,), name="first"), keras.Input((3,), name="second")
    dropped = layers.Dropout(0.5)(first)
    model = keras.Model({"first": first, "second": second}, {"a": dropped, "b": [dropped, second]})
    inputs = {"first": np.ones((5, 4)), "second": np.arange(15.0).reshape(5, 3)}
    prediction = mc_predict(model, inputs, samples=3, batch_size=2, verbose=0, seed=0)
    assert set(prediction.mean) == {"a", "b"}
    np.testing.assert_array_equal(prediction.mean["a"], prediction.mean["b"][0])
    np.testing.assert_allclose(prediction.mean["b"][1], inputs["second"])
    np.testing.assert_array_equal(prediction.standard_deviation["b"][1], 0)


def test_the_seed_repeats_everything():
    model = model_of(layers.Dropout(0.5, seed=3), layers.Dropout(0.5))
    predictions = [mc_predict(model, ONES, 3, verbose=0, seed=seed).mean for seed in (5, 5, 6)]
    np.testing.assert_array_equal(predictions[0], predictions[1])
    assert (predictions[0] != predictions[2]).any()
    unseeded = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        unseeded.append([mc_predict(model, ONES, 3, verbose=0).mean for _ in range(2)])
    np.testing.assert_array_equal(unseeded[0], unseeded[1])
    assert (unseeded[0][0] != unseeded[0][1]).any()


def test_two_layers_of_one_seed_draw_apart():
    inputs = keras.Input((1000,))
    model = keras.Model(inputs, [layers.Dropout(0.5)(inputs), layers.Dropout(0.5)(inputs)])
    first, second = mc_predict(model, np.ones((1, 1000)), 2, verbose=0, seed=0).mean
    assert abs(np.corrcoef(first[0], second[0])[0, 1]) < 5 / np.sqrt(1000)


class Batches(keras.utils.PyDataset):
    @property
    def num_batches(self):
        return 3

    def __getitem__(self, index):
        return ONES[2 * index : 2 * index + 2], np.zeros(2)


def test_batches_are_gone_through_once():
    model = model_of(layers.Dropout(0.5))
    desired = mc_predict(model, ONES, 3, batch_size=2, verbose=0, seed=0)
    for batches in (((ONES[start : start + 2],) for start in (0, 2, 4)), Batches()):
        prediction = mc_predict(model, batches, 3, verbose=0, seed=0)
        np.testing.assert_array_equal(prediction.mean, desired.mean)
        np.testing.assert_array_equal(prediction.standard_deviation, desired.standard_deviation)


def test_a_tf_dataset_gives_what_its_arrays_give():
    tensorflow = pytest.importorskip("tensorflow")
    dataset = tensorflow.data.Dataset.from_tensor_slices((ONES, np.zeros(6))).batch(4)
    model = model_of(layers.Dropout(0.5))
    prediction = mc_predict(model, dataset, 3, verbose=0, seed=0)
    np.testing.assert_array_equal(prediction.mean, mc_predict(model, ONES, 3, batch_size=4, verbose=0, seed=0).mean)


def test_weights_adapted_state_and_scheduled_rates_are_carried_over():
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(5.0, 2.0, (100, 8)))
    path = DropPath(0.9)
    model = model_of(normalization, layers.Dense(3), path)
    path.current_rate.assign(0.0)
    prediction = mc_predict(model, ONES, 2, verbose=0)
    np.testing.assert_allclose(prediction.mean, model.predict(ONES, verbose=0), rtol=1e-5)


def test_a_compiled_model_with_a_local_loss_is_predicted():
    model = model_of(layers.Dropout(0.5))
    model.compile(loss=lambda targets, outputs: ops.mean(outputs))
    assert mc_predict(model, ONES, 2, verbose=0).standard_deviation.max() > 0


def test_half_precision_gives_float32():
    model = model_of(layers.Dropout(0.5, dtype="bfloat16"))
    assert mc_predict(model, ONES, 2, verbose=0).mean.dtype == np.float32


def test_progress_is_shown(capsys):
    mc_predict(model_of(layers.Dropout(0.5)), ONES, 2, batch_size=2)
    assert "3/3" in capsys.readouterr().out


@pytest.mark.parametrize("parts", [[layers.Dense(2)], [layers.Dropout(0.0)], [layers.LSTM(2)]])
def test_a_model_in_which_nothing_drops_raises(parts):
    with pytest.raises(ValueError, match=r"`model` of mc_predict must hold something that drops.*Received: 'seq"):
        mc_predict(model_of(*parts), ONES, verbose=0)


@pytest.mark.parametrize(("name", "value"), [("samples", 1), ("samples", 2.5), ("batch_size", 0)])
def test_wrong_arguments_raise(name, value):
    with pytest.raises(ValueError, match=f"`{name}` of mc_predict must be an integer from .*Received: {value}"):
        mc_predict(model_of(layers.Dropout(0.5)), ONES, verbose=0, **{name: value})


def test_no_inputs_raise():
    with pytest.raises(ValueError, match="`inputs` of mc_predict must hold at least one sample"):
        mc_predict(model_of(layers.Dropout(0.5)), ONES[:0], verbose=0)
