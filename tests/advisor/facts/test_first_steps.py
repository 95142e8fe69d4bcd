"""Gradients, penalties and activations measured beside the model, against known values; the model stays as it was."""

import time

import keras
import numpy as np
import pytest
from keras import layers

from advisor.facts.probes import make_probes
from advisor.facts.read_data import read_data
from advisor.graph import read_graph

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(96, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def probes(model, x=X, y=Y, **options):
    graph = read_graph(model)
    return make_probes(graph, read_data(x if y is None else (x, y), graph), batch_size=32, **options)


def classifier(*hidden, compiled=True, optimizer="adam", **head):
    layers_ = [keras.Input((6,)), *hidden, layers.Dense(2, activation="softmax", name="head", **head)]
    model = keras.Sequential(layers_)
    if compiled:
        model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def values(model):
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in model.variables]


def test_the_gradient_is_that_of_the_loss():
    model = keras.Sequential([keras.Input((1,)), layers.Dense(3, use_bias=False, name="dense")])
    model.compile("sgd", "mse")
    kernel = np.array([[1.0, 2.0, -1.0]], dtype="float32")
    model.layers[0].kernel.assign(kernel)
    x = np.full((40, 1), 2.0, dtype="float32")
    # A matrix of one row counts as a vector, so a second model has two rows, one of them for an input that is zero.
    wide = keras.Sequential([keras.Input((2,)), layers.Dense(3, use_bias=False, name="dense")])
    wide.compile("sgd", "mse")
    wide.layers[0].kernel.assign(np.concatenate([kernel, np.zeros_like(kernel)]))
    two = np.concatenate([x, np.zeros_like(x)], axis=1)
    targets = np.zeros((40, 3), dtype="float32")
    loss = np.mean((2 * kernel) ** 2)
    gradient = np.linalg.norm(2 * (2 * kernel) * 2 / 3)
    measured = probes(wide, two, targets)["gradient_norm"]("dense")
    assert measured.value == pytest.approx(gradient / (np.linalg.norm(kernel) * loss), rel=1e-4)
    assert (measured.samples, measured.seed) == (32, 0)
    assert probes(model, x, targets)["gradient_norm"]("dense") is None


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lion"])
def test_the_model_stays_as_it_was(optimizer):
    model = classifier(
        layers.Dense(8, kernel_regularizer="l2", name="a"),
        layers.BatchNormalization(name="norm"),
        layers.Dropout(0.5),
        layers.ReLU(name="relu"),
        optimizer=optimizer,
    )
    before, optimizer_before = values(model), len(model.optimizer.variables)
    every = probes(model)
    for name, path in (
        ("gradient_norm_later", "a"),
        ("penalty_ratio", ""),
        ("loss_after_steps", ""),
        ("mode_difference", "norm"),
        ("mode_difference", ""),
        ("dead_share", "relu"),
    ):
        assert every[name](path) is not None, name
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert len(model.optimizer.variables) == optimizer_before
    assert model.losses
    assert model.layers[0].losses


def test_steps_lower_the_loss_and_steps_too_large_do_not():
    hidden = [layers.Dense(16, activation="relu") for _ in range(2)]
    assert probes(classifier(*hidden, optimizer=keras.optimizers.Adam(0.01)))["loss_after_steps"]("").value < 0.95
    hidden = [layers.Dense(16, activation="relu") for _ in range(2)]
    assert probes(classifier(*hidden, optimizer=keras.optimizers.Adam(10.0)))["loss_after_steps"]("").value > 2


def test_a_layer_of_zeros_hides_gradients_at_the_start_only():
    measured = probes(classifier(layers.Dense(8, activation="relu", name="a"), kernel_initializer="zeros"))
    assert measured["gradient_norm"]("a").value == 0
    assert measured["gradient_norm_later"]("a").value > 1e-4


def test_penalties_are_told_by_layer_and_in_all():
    model = classifier(
        layers.Dense(8, kernel_regularizer=keras.regularizers.L2(0.1), name="a"),
        layers.Dense(8, kernel_regularizer=keras.regularizers.L1(0.1), name="b"),
    )
    every = probes(model)
    first, second, whole = (every["penalty_ratio"](path).value for path in ("a", "b", ""))
    expected = [0.1 * np.square(model.layers[0].kernel).sum(), 0.1 * np.abs(model.layers[1].kernel).sum()]
    assert first / second == pytest.approx(expected[0] / expected[1], rel=1e-5)
    assert whole == pytest.approx(first + second, rel=1e-5)
    assert every["penalty_ratio"]("head").value == 0


@pytest.mark.parametrize(
    ("activation", "units", "y"),
    [
        ("softmax", 2, Y),
        ("softmax", 2, keras.utils.to_categorical(Y)),
        ("sigmoid", 1, Y),
        (None, 2, Y),
        (None, 1, Y),
        (None, 1, X[:, 0]),
    ],
)
def test_a_loss_is_found_for_a_model_that_is_not_compiled(activation, units, y):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, name="a"), layers.Dense(units, activation=activation)])
    assert probes(model, X, y)["gradient_norm"]("a").value > 1e-3


def test_several_outputs_have_losses_and_weights_of_their_own():
    def model(weight):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,))
        shared = layers.Dense(8, name="shared")(inputs)
        outputs = {"a": layers.Dense(2, name="a")(shared), "b": layers.Dense(2, name="b")(shared)}
        built = keras.Model(inputs, outputs)
        built.compile("adam", {"a": "mse", "b": "mae"}, loss_weights={"a": 1.0, "b": weight})
        return built

    targets = {"a": X[:, :2], "b": X[:, 2:4]}
    one, none = (probes(model(weight), X, targets)["gradient_norm"] for weight in (1.0, 0.0))
    assert one("b").value > 0
    assert none("b").value == 0
    assert none("a").value > 0


def test_without_labels_there_is_no_gradient_but_there_are_activations():
    every = probes(classifier(layers.Dense(8, activation="relu", name="a")), X, None)
    assert every["gradient_norm"]("a") is None
    assert every["penalty_ratio"]("") is None
    assert every["activation_deviation"]("a").value > 0


def test_activations_are_those_of_the_layers_outputs():
    model = classifier(
        layers.Dense(8, activation="relu", name="a"),
        layers.Dense(8, name="b"),
        layers.Activation("tanh", name="tanh"),
    )
    bias = np.zeros(8)
    bias[:2] = -100.0
    model.layers[0].bias.assign(bias)
    model.layers[1].kernel.assign(model.layers[1].kernel * 1000)
    every = probes(model)
    seen = X[np.random.default_rng(0).permutation(96)[:64]]
    outputs = np.asarray(model.layers[0](seen))
    assert every["dead_share"]("a").value == np.mean(outputs.max(axis=0) <= 0)
    assert every["dead_share"]("a").value >= 0.25
    assert every["saturated_share"]("tanh").value > 0.9
    assert every["saturated_share"]("a") is None
    assert every["dead_share"]("b") is None
    assert every["activation_mean"]("a").value == pytest.approx(outputs.mean(), rel=0.3)
    assert every["activation_deviation"]("a").value == pytest.approx(outputs.std(), rel=0.3)


def test_moving_averages_that_lag_show_as_a_difference_of_modes():
    norm = layers.BatchNormalization(name="norm")
    model = classifier(norm)
    x = 5 * X + 3
    far = probes(model, x)["mode_difference"]("norm").value
    norm.moving_mean.assign(x.mean(axis=0))
    norm.moving_variance.assign(x.var(axis=0))
    near = probes(model, x)["mode_difference"]("norm").value
    assert near < 0.4 < 2 < far
    assert probes(model, x)["mode_difference"]("head") is None


def test_a_crashing_layer_silences_the_probe_and_sinks_nothing():
    class Broken(layers.Layer):
        def call(self, x):
            if not isinstance(x, keras.KerasTensor):
                raise RuntimeError("no")
            return x

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape, x.dtype)

    every = probes(classifier(Broken(), layers.Dense(4, activation="relu", name="a")))
    assert [probe("a") for probe in every.values()] == [None] * len(every)


def test_all_probes_share_the_time():
    class Slow(layers.Layer):
        def call(self, x):
            if not isinstance(x, keras.KerasTensor):
                time.sleep(0.1)
            return x

    every = probes(classifier(Slow(), layers.Dense(4, name="a"), layers.BatchNormalization(name="n")), probe_seconds=1)
    begin = time.monotonic()
    for probe in every.values():
        probe("a")
    assert time.monotonic() - begin < 4


def test_the_measuring_is_told():
    told = []
    probes(classifier(layers.Dense(4, name="a")), say=told.append)["gradient_norm"]("a")
    assert told == ["Taking first steps"]
