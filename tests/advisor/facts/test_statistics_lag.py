"""The measured lag of moving averages against its formula, and that measuring it changes nothing."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.facts.probes import make_probes
from advisor.facts.read_data import read_data
from advisor.graph import read_graph
from keras_normpack import recompute_batch_statistics

X = np.random.default_rng(0).normal((5.0, -2.0, 1.0), (3.0, 0.5, 1.0), (256, 3)).astype("float32")


def lag(model, path, data=X, **options):
    graph = read_graph(model)
    return make_probes(graph, read_data(data, graph), batch_size=32, **options)["statistics_lag"](path)


def norm_on(*before, **arguments):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((3,)), *before, layers.BatchNormalization(name="norm", **arguments)])


def test_it_is_how_far_normalized_activations_are_from_mean_0_and_deviation_1():
    model = norm_on()
    norm = model.get_layer("norm")
    norm.moving_mean.assign([4.0, -2.0, 0.0])
    norm.moving_variance.assign([4.0, 1.0, 1.0])
    mean, variance, epsilon = X.mean(axis=0), X.var(axis=0), norm.epsilon
    scale = np.sqrt([4.0 + epsilon, 1.0 + epsilon, 1.0 + epsilon])
    off = np.hypot((mean - [4.0, -2.0, 0.0]) / scale, np.sqrt(variance + epsilon) / scale - 1)
    measured = lag(model, "norm")
    assert measured.value == pytest.approx(np.median(off), rel=1e-5)
    assert (measured.samples, measured.unit) == (256, "1")


def test_it_is_nothing_for_recomputed_statistics_and_is_taken_in_training_mode():
    model = norm_on(layers.BatchNormalization(name="first"), layers.Dense(4))
    assert lag(model, "first").value > 1
    recompute_batch_statistics(model, X, batch_size=256)
    assert lag(model, "first").value < 0.01
    assert lag(model, "norm").value < 0.1
    # The averages of an earlier layer, off or not, have no part in what a later one sees in training.
    right = lag(model, "norm").value
    model.get_layer("first").moving_mean.assign(np.full(3, 100.0))
    assert lag(model, "norm").value == pytest.approx(right)


def test_measuring_changes_nothing():
    model = norm_on(layers.Dropout(0.5), layers.Dense(4))
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in model.variables]
    lag(model, "norm")
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value, err_msg=variable.path)


def test_layers_without_averages_that_move_have_no_lag():
    model = norm_on(layers.Dense(3, name="dense"))
    assert lag(model, "dense") is None
    assert lag(model, "") is None
    assert lag(norm_on(trainable=False), "norm") is None
    assert lag(model, "norm", probe_seconds=0) is None


def test_weights_that_are_no_numbers_have_no_lag():
    model = norm_on(layers.Dense(3, name="dense"))
    model.get_layer("dense").bias.assign(np.full(3, np.nan))
    assert lag(model, "norm") is None


class Branching(keras.Model):
    """Cannot be read on symbolic tensors."""

    def __init__(self):
        super().__init__()
        self.norm = layers.BatchNormalization(name="norm")

    def call(self, x, training=None):
        if float(keras.ops.max(x)) > 1e6:
            return x
        return self.norm(x, training=training)


def test_models_whose_code_cannot_be_read_are_measured_too():
    model = Branching()
    model(X[:2])
    graph = read_graph(model)
    assert graph.root.kind == "opaque"
    assert lag(model, "norm").value > 1
