"""`AdvisorCallback` in real runs: what it tells and when, and that the runs are the same without it."""

import random
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from advisor import AdvisorCallback
from advisor.training import TrainingPlan
from advisor.watching import Sighting

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")


def net(rate=0.01, jit_compile=False, **arguments):
    keras.utils.set_random_seed(3)
    stack = [layers.Dense(8, use_bias=False, name="hidden"), layers.BatchNormalization(name="norm")]
    model = keras.Sequential(
        [keras.Input((6,)), *stack, layers.ReLU(), layers.Dropout(0.5), layers.Dense(2, "softmax", dtype="float32")]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss, jit_compile=jit_compile, **arguments)
    return model


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.norm = layers.Dense(8), layers.BatchNormalization(name="norm")
        self.drop, self.head = layers.Dropout(0.5), layers.Dense(2, "softmax")

    def call(self, x, training=None):
        return self.head(self.drop(self.norm(self.hidden(x), training=training), training=training))


def subclassed():
    keras.utils.set_random_seed(3)
    model = Subclassed()
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def mixed():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return net()
    finally:
        keras.config.set_dtype_policy("float32")


def state_after(model, callbacks):
    """All that training leaves behind: weights, averages, seeds, the optimizer's moments, random numbers."""
    random.seed(0)
    np.random.seed(0)
    model.fit(X, Y, epochs=3, batch_size=32, validation_data=(X, Y), callbacks=callbacks, verbose=0)
    values = [np.array(variable) for variable in (*model.variables, *model.optimizer.variables)]
    return [*values, np.array([random.random(), np.random.random()])]


@pytest.mark.parametrize(
    "build",
    [
        net,
        subclassed,
        mixed,
        pytest.param(lambda: net(run_eagerly=True), id="run_eagerly"),
        pytest.param(lambda: net(jit_compile=True), id="jit_compile", marks=pytest.mark.tensorflow_only),
    ],
)
def test_a_run_is_the_same_to_the_last_bit(build, tmp_path):
    watch = AdvisorCallback(data=(X, Y), select="N,D,T,R", log_dir=tmp_path, verbose=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="AdvisorCallback")
        watched = state_after(build(), [watch])
    assert any(sighting.finding.code == "N112" for sighting in watch.findings)
    for one, other in zip(state_after(build(), []), watched, strict=True):
        np.testing.assert_array_equal(one, other)


def test_class_numbers_are_looked_at_while_a_plan_trains_with_smoothed_ones():
    watch = AdvisorCallback(data=(X, Y), verbose=0)
    plan = TrainingPlan(label_smoothing=0.1, classes=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="AdvisorCallback")
        plan.fit(net(), X, Y, epochs=2, callbacks=[watch], verbose=0)
    assert any(sighting.finding.code == "N112" and sighting.epoch == 1 for sighting in watch.findings)


def codes(watch):
    return [(sighting.epoch, sighting.finding.code, sighting.finding.layer) for sighting in watch.findings]


def test_lag_is_foreseen_by_the_plan_and_measured_once_it_is_there(capsys):
    watch = AdvisorCallback(data=(X, Y), select="N112")
    net().fit(X, Y, epochs=3, batch_size=32, callbacks=[watch], verbose=0)
    assert codes(watch) == [(0, "N112", "norm"), (1, "N112", "norm")]
    foreseen, measured = (sighting.finding for sighting in watch.findings)
    assert foreseen.measurements == ()
    (lag,) = measured.measurements
    assert lag.value > lag.threshold > 0
    printed = capsys.readouterr().out
    assert printed.count("N112 lagging-moving-averages (warning)") == 2
    assert "\nBefore training: N112" in printed
    assert "\nEpoch 1: N112" in printed


def test_layers_of_which_the_same_is_said_are_printed_together(capsys):
    stack = [layer for _ in range(4) for layer in (layers.Dense(4), layers.BatchNormalization())]
    model = keras.Sequential([keras.Input((6,)), *stack, layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    watch = AdvisorCallback(select="N112")
    model.fit(X, Y, callbacks=[watch], verbose=0)
    assert len(watch.findings) == 4
    printed = capsys.readouterr().out
    assert printed.count("N112") == 1
    assert "and 2 more layers" in printed


class Kill(keras.callbacks.Callback):
    """Kills the hidden units after an epoch, as a step that is too large would."""

    def __init__(self, epoch):
        super().__init__()
        self.killed_after = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.killed_after:
            self.model.get_layer("hidden").bias.assign(np.full(8, -100.0))


def dying():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu", name="hidden"), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_units_are_told_of_when_they_die_and_once():
    watch = AdvisorCallback(data=(X, Y), verbose=0)
    dying().fit(X, Y, epochs=4, callbacks=[Kill(2), watch], verbose=0)
    assert codes(watch) == [(2, "T506", "hidden")]
    (sighting,) = watch.findings
    assert sighting.step == 6
    assert sighting.finding.measurements[0].value == 1.0


def test_looks_are_every_so_many_epochs():
    watch = AdvisorCallback(data=(X, Y), every=3, verbose=0)
    dying().fit(X, Y, epochs=4, callbacks=[Kill(1), watch], verbose=0)
    assert codes(watch) == [(3, "T506", "hidden")]


def test_gradients_that_vanish_are_told_of_before_the_first_step():
    keras.utils.set_random_seed(0)
    small = keras.initializers.RandomNormal(stddev=0.01, seed=1)
    hidden = [layers.Dense(16, "relu", kernel_initializer=small) for _ in range(6)]
    model = keras.Sequential([keras.Input((6,)), *hidden, layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    watch = AdvisorCallback(data=(X, Y), verbose=0)
    model.fit(X, Y, callbacks=[watch], verbose=0)
    first = watch.findings[0]
    assert (first.epoch, first.step, first.finding.code) == (0, 0, "T506")
    assert "gradients vanish" in first.finding.message


def line():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


BROKEN = np.where(np.arange(96)[:, None] >= 64, np.float32("nan"), X)


def test_a_loss_that_is_no_number_is_told_of_within_the_epoch():
    steps = []
    watch = AdvisorCallback(on_finding=lambda sighting: steps.append(sighting.step), verbose=0)
    line().fit(BROKEN, Y, batch_size=8, epochs=2, shuffle=False, callbacks=[watch], verbose=0)
    # Rows from 64 on are no numbers: the ninth step is the first with such a loss, and it is told of before the tenth.
    assert (codes(watch), steps) == ([(1, "T505", None)], [9])
    assert watch.findings[0].finding.severity == "error"


def test_a_run_can_be_ended_by_an_error_and_is_not_by_a_warning():
    watch = AdvisorCallback(stop_on="error", verbose=0)
    history = line().fit(BROKEN, Y, batch_size=8, epochs=5, shuffle=False, callbacks=[watch], verbose=0)
    assert len(history.history["loss"]) == 1
    watch = AdvisorCallback(select="N112", stop_on="error", verbose=0)
    assert len(net().fit(X, Y, epochs=2, callbacks=[watch], verbose=0).history["loss"]) == 2
    assert watch.findings


def test_overfitting_is_told_of_with_its_best_epoch():
    keras.utils.set_random_seed(1)
    labels = RNG.integers(0, 2, size=96)  # noise, which can only be learned by heart
    model = keras.Sequential([keras.Input((6,)), layers.Dense(64, "relu"), layers.Dense(2, "softmax")])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    watch = AdvisorCallback(verbose=0)
    run = {"epochs": 25, "validation_data": (X[48:], labels[48:]), "verbose": 0}
    history = model.fit(X[:48], labels[:48], callbacks=[watch], **run).history
    (told,) = [sighting for sighting in watch.findings if "overfitting" in sighting.finding.message]
    best = int(np.argmin(history["val_loss"][: told.epoch])) + 1
    assert 5 <= told.epoch < 25
    assert f"was best in epoch {best} of {told.epoch}" in told.finding.message


def test_that_the_run_was_too_short_is_said_at_its_end_only():
    told_at = []
    watch = AdvisorCallback(select="T505", verbose=0, on_finding=lambda sighting: told_at.append(sighting.epoch))
    model = line()
    model.optimizer.learning_rate = 1e-3
    model.fit(X, X[:, :1], epochs=8, callbacks=[watch], verbose=0)
    assert told_at == [8]
    assert "too few epochs" in watch.findings[0].finding.message


def test_a_learning_rate_that_does_nothing_any_more_is_told_of():
    falls = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-9 if epoch == 2 else 1e-3)
    watch = AdvisorCallback(verbose=0)
    net().fit(X, Y, epochs=4, callbacks=[falls, watch], verbose=0)
    assert (3, "T503", None) in codes(watch)


def test_a_fit_that_goes_on_is_one_run_and_another_fit_starts_anew():
    watch = AdvisorCallback(data=(X, Y), select="N112", verbose=0)
    model = net()
    model.fit(X, Y, epochs=2, callbacks=[watch], verbose=0)
    assert len(watch.findings) == 2
    model.fit(X, Y, initial_epoch=2, epochs=4, callbacks=[watch], verbose=0)
    assert len(watch.findings) == 2
    assert len(watch.curves["loss"]) == 4
    assert watch.findings[1].step == 3
    model.fit(X, Y, epochs=1, callbacks=[watch], verbose=0)
    assert len(watch.curves["loss"]) == 1
    assert watch.findings
    net().fit(X, Y, epochs=1, callbacks=[watch], verbose=0)
    assert len(watch.curves["loss"]) == 1


def endless():
    while True:
        yield X[:8], Y[:8]


@pytest.mark.parametrize("data", [tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).repeat(), endless()])
def test_steps_per_epoch_and_data_without_end(data):
    watch = AdvisorCallback(data={"data": X}["data"], select="N112", verbose=0)
    net().fit(data, steps_per_epoch=5, epochs=2, callbacks=[watch], verbose=0)
    assert [sighting.step for sighting in watch.findings] == [0, 5]
    assert "10 planned steps" in watch.findings[0].finding.message


def test_steps_are_counted_where_keras_does_not_know_them():
    data = tf.data.Dataset.from_generator(
        lambda: ((X[:8], Y[:8]) for _ in range(5)),
        output_signature=(tf.TensorSpec((None, 6)), tf.TensorSpec((None,), "int32")),
    )
    watch = AdvisorCallback(select="N112", verbose=0)
    net().fit(data, epochs=3, callbacks=[watch], verbose=0)
    assert codes(watch) == [(1, "N112", "norm")]
    assert "15 planned steps" in watch.findings[0].finding.message


def test_without_data_no_model_is_run_and_the_plan_speaks():
    watch = AdvisorCallback(verbose=0)
    net(rate=1.0).fit(X, Y, epochs=2, batch_size=8, callbacks=[watch], verbose=0)
    assert [(epoch, code) for epoch, code, _ in codes(watch)] == [(0, "N112"), (0, "T503")]
    assert not any(sighting.finding.measurements for sighting in watch.findings)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"data": np.ones((8, 5))}, "hidden|shape|5"),
        ({"select": "N112", "on_finding": lambda sighting: sighting.nothing}, "nothing"),
        ({"log_dir": "/dev/null/folder"}, "null"),
    ],
)
def test_what_fails_in_it_is_told_once_and_training_goes_on(arguments, reason):
    watch = AdvisorCallback(verbose=0, **arguments)
    with pytest.warns(UserWarning, match="AdvisorCallback") as told:
        history = net().fit(X, Y, epochs=3, callbacks=[watch], verbose=0)
    assert len(history.history["loss"]) == 3
    (warning,) = [str(one.message) for one in told if "AdvisorCallback" in str(one.message)]
    assert "training goes on" in warning
    assert any(word in warning for word in reason.split("|"))


def test_a_layer_that_does_not_run_eagerly_leaves_the_rest_to_be_watched():
    class OnlyInGraphs(layers.Layer):
        def call(self, x):
            if tf.executing_eagerly() and not isinstance(x, keras.KerasTensor):
                raise RuntimeError("not here")
            return x

    keras.utils.set_random_seed(0)
    stack = [OnlyInGraphs(), layers.Dense(4), layers.BatchNormalization(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((6,)), *stack])
    model.compile(keras.optimizers.Adam(1.0), "mse", run_eagerly=False)
    watch = AdvisorCallback(data=(X, X[:, :2]), verbose=0)
    with pytest.warns(UserWarning, match="(?s)goes on without a part.*not here") as told:
        model.fit(X, X[:, :2], epochs=2, callbacks=[watch], verbose=0)
    ours = [str(one.message) for one in told if "AdvisorCallback" in str(one.message)]
    assert len(ours) == len(set(ours))
    assert {"N112", "T503"} <= {code for _, code, _ in codes(watch)}


def test_advice_after_the_run_knows_its_curves_and_its_length():
    watch = AdvisorCallback(verbose=0)
    net().fit(X, Y, epochs=2, callbacks=[watch], verbose=0)
    training = watch.advice(verbose=0).examination.facts.training
    assert (training.epochs, training.steps_per_epoch) == (2, 3)
    assert training.history["loss"] == watch.curves["loss"]
    assert watch.advice(epochs=9, verbose=0).examination.facts.training.epochs == 9


def test_sightings_are_readable():
    watch = AdvisorCallback(select="N112", verbose=0)
    net().fit(X, Y, callbacks=[watch], verbose=0)
    (sighting,) = watch.findings
    assert isinstance(sighting, Sighting)
    assert str(sighting).startswith("Before training: N112 lagging-moving-averages (warning): the moving averages")
    assert max(map(len, str(sighting).splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"every": 0}, ValueError, "every=0"),
        ({"every": True}, ValueError, "every=True"),
        ({"select": "X9"}, ValueError, "'X9'"),
        ({"on_finding": 3}, ValueError, "on_finding=3"),
        ({"stop_on": "grave"}, ValueError, "error, warning, info.*'grave'"),
        ({"cost": -1}, ValueError, "cost=-1"),
        ({"verbose": 2}, ValueError, "verbose=2"),
        ({"data": endless()}, TypeError, "generator"),
        ({"data": 3}, TypeError, "int"),
        ({"data": np.ones((0, 6))}, ValueError, "at least one sample"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(arguments, error, message):
    with pytest.raises(error, match=message):
        AdvisorCallback(**arguments)
