"""`TrainingPlan.fit` beside `Model.fit`: every argument has the same effect, also where the plan makes a data set."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from advisor import advise
from advisor.graph import LayerSpec
from advisor.training import TrainingPlan

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = RNG.integers(0, 2, size=40)
WEIGHTS = RNG.uniform(0.1, 2.0, size=40).astype("float32")

VALUES = {
    "batch_size": 7,
    "epochs": 3,
    "verbose": 0,
    "callbacks": [],
    "validation_split": 0.25,
    "validation_data": (X[:10], Y[:10], WEIGHTS[:10]),
    "shuffle": False,
    "class_weight": {0: 0.2, 1: 3.0},
    "sample_weight": WEIGHTS,
    "initial_epoch": 1,
    "steps_per_epoch": 1,
    "validation_steps": 1,
    "validation_batch_size": 4,
    "validation_freq": 2,
}
OF_VALIDATION = ("validation_steps", "validation_batch_size", "validation_freq")
UNCHANGING = TrainingPlan(augmentation=(LayerSpec(keras.layers.Rescaling, {"scale": 1.0, "offset": 0.0}),))


def classifier():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(8, "relu"), layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"], jit_compile=False)
    return model


def test_every_argument_of_fit_is_among_those_tried():
    assert {"x", "y", *VALUES} == inspect.signature(keras.Model.fit).parameters.keys() - {"self"}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(
    "plan", [pytest.param(TrainingPlan(), id="plain", marks=pytest.mark.slow), pytest.param(UNCHANGING, id="as-data")]
)
def test_an_argument_has_the_effect_it_has_in_keras(plan, name):
    arguments = {"shuffle": False, "epochs": 2, "verbose": 0, name: VALUES[name]}
    if name in OF_VALIDATION:
        arguments["validation_data"] = VALUES["validation_data"]
    expected = classifier().fit(X, Y, **arguments)
    found = plan.fit(classifier(), X, Y, **arguments)
    assert found.history.keys() == expected.history.keys()
    for metric, values in expected.history.items():
        np.testing.assert_allclose(found.history[metric], values, rtol=1e-5, err_msg=metric)
    assert {**found.params, "verbose": 0} == {**expected.params, "verbose": 0}


def test_arguments_are_taken_by_position_too():
    theirs, ours = (list(inspect.signature(fit).parameters) for fit in (keras.Model.fit, TrainingPlan.fit))
    by_position = ours[2:-1]
    assert by_position == theirs[1 : 1 + len(by_position)]
    advice = advise(classifier(), select="T501", verbose=0)
    for history in (TrainingPlan().fit(classifier(), X, Y, 20, 2, 0), advice.fit(X, Y, 20, 2, 0)[1]):
        assert (history.params["epochs"], history.params["steps"], history.params["verbose"]) == (2, 2, 0)


def test_given_validation_data_count_rather_than_a_split():
    plan = UNCHANGING
    arguments = {"validation_split": 0.25, "validation_data": VALUES["validation_data"], "shuffle": False, "verbose": 0}
    expected = classifier().fit(X, Y, **arguments).history
    found = plan.fit(classifier(), X, Y, **arguments).history
    np.testing.assert_allclose([found["loss"], found["val_loss"]], [expected["loss"], expected["val_loss"]], rtol=1e-5)


def test_a_list_of_inputs_is_two_inputs_also_where_labels_change():
    inputs = [keras.Input((3,)), keras.Input((2,))]
    outputs = layers.Dense(2, "softmax")(layers.Concatenate()(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    plan = TrainingPlan(label_smoothing=0.1, classes=2)
    assert plan.fit(model, [X, X[:, :2]], Y, validation_split=0.25, verbose=0).history["val_loss"]


@pytest.mark.parametrize("shuffle", [True, "batch", False])
def test_arrays_are_shuffled_as_keras_shuffles_them(shuffle):
    plan = TrainingPlan(batch_size=4)
    batches = [x.numpy()[:, 0] for x, y in plan.prepare((X, Y), shuffle=shuffle)]
    together = np.concatenate(batches)
    np.testing.assert_array_equal(np.sort(together), np.sort(X[:, 0]))
    assert np.array_equal(together, X[:, 0]) == (shuffle is False)
    whole = {tuple(X[start : start + 4, 0]) for start in range(0, 40, 4)}
    assert (set(map(tuple, batches)) == whole) == (shuffle is not True)


def batches():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)


def generator():
    while True:
        yield X[:8], Y[:8]


MIXING = TrainingPlan(mixing=LayerSpec(keras.layers.MixUp, {}), classes=2)


@pytest.mark.parametrize(
    ("plan", "x", "y", "arguments", "error", "message"),
    [
        (TrainingPlan(), X, Y, {"validation_spilt": 0.1}, TypeError, "did you mean `validation_split`"),
        (TrainingPlan(), X, Y, {"workers": 3}, TypeError, "no argument `workers`"),
        (TrainingPlan(), batches(), Y, {}, ValueError, "`y` goes with arrays"),
        (TrainingPlan(), batches(), None, {"sample_weight": WEIGHTS}, ValueError, "`sample_weight` goes with arrays"),
        (TrainingPlan(), batches(), None, {"validation_split": 0.2}, ValueError, "`validation_split` goes with arrays"),
        (TrainingPlan(), X, Y, {"validation_split": 1.5}, ValueError, "between 0 and 1"),
        (
            UNCHANGING,
            X[:1],
            Y[:1],
            {"validation_split": 0.5},
            ValueError,
            "leaves nothing",
        ),
        (TrainingPlan(), (X, Y, WEIGHTS), None, {"sample_weight": WEIGHTS}, ValueError, "given once"),
        (TrainingPlan(), X, Y, {"sample_weight": WEIGHTS, "class_weight": {0: 1.0}}, ValueError, "given together"),
        (MIXING, X, Y, {"class_weight": {0: 1.0}}, ValueError, "no weight that fits a mixture"),
        (TrainingPlan(), generator(), None, {"steps_per_epoch": 2, "class_weight": {0: 1.0}}, ValueError, "generator"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_changes(plan, x, y, arguments, error, message):
    model = classifier()
    optimizer, loss, before = model.optimizer, model.loss, model.get_weights()
    with pytest.raises(error, match=message):
        plan.fit(model, x, y, verbose=0, **arguments)
    assert (model.optimizer, model.loss) == (optimizer, loss)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class MyStopping(keras.callbacks.EarlyStopping):
    pass


def test_an_own_early_stopping_replaces_the_planned_one_and_it_is_told(capsys, tmp_path):
    plan = TrainingPlan(early_stopping={"monitor": "loss", "patience": 0, "min_delta": 1e9})
    kept = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="loss")
    own = [MyStopping("loss", patience=2, min_delta=1e9), kept]
    history = plan.fit(classifier(), X, Y, epochs=9, callbacks=own, verbose=2)
    assert len(history.history["loss"]) == 3
    assert (tmp_path / "best.keras").is_file()
    assert "Your MyStopping replaces the EarlyStopping of the training plan." in capsys.readouterr().out
    plan.fit(classifier(), X, Y, callbacks=own, verbose=0)
    assert capsys.readouterr().out == ""


def test_a_generator_trains_without_recomputed_statistics_and_it_is_told():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.BatchNormalization(), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    plan = TrainingPlan(batch_statistics=True)
    with pytest.warns(UserWarning, match="a generator can be read only once"):
        history = plan.fit(model, generator(), steps_per_epoch=3, verbose=0)
    assert len(history.history["loss"]) == 1
    assert plan.fit(model, batches(), batch_size=8, verbose=0).history["loss"]


def test_advice_fits_what_model_fit_takes():
    advice = advise(classifier(), batch_size=8, epochs=2, select="T501,R305", verbose=0)
    weights = {0: 0.5, 1: 2.0}
    model, history = advice.fit(X, Y, class_weight=weights, validation_split=0.25, initial_epoch=1, verbose=0)
    assert history.model is model
    assert len(history.history["val_loss"]) == 1
    _, history = advice.fit(x=batches(), validation_data=batches(), validation_freq=2, verbose=0)
    assert len(history.history["val_loss"]) == 1
    with pytest.raises(TypeError, match="no argument `worker`"):
        advice.fit(X, Y, worker=1)
