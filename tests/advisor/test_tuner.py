"""`AdvisedHyperModel` in a real search of KerasTuner on digits."""

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_digits

from advisor.tuner import AS_ADVISED, AdvisedHyperModel


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).reshape(-1, 8, 8, 1).astype("float32")
    return (images[:200], labels[:200]), (images[200:300], labels[200:300])


def network(filters=16):
    stack = [layers.Conv2D(filters, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    head = [layers.Flatten(), layers.Dense(16, "relu"), layers.Dropout(0.3), layers.Dense(10, "softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *stack, *head])
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], jit_compile=False)
    return model


def advised(model, **known):
    return AdvisedHyperModel(model, **{"batch_size": 4, "epochs": 2, "select": "N102,T501", **known})


def classes(model):
    return [type(layer).__name__ for layer in model.layers]


def built(hypermodel, **values):
    space = keras_tuner.HyperParameters()
    hypermodel.build(space)
    for name, value in values.items():
        space.values[f"advice/{name}"] = value
    return hypermodel.build(space), space


def test_the_space_holds_each_finding_and_the_alternatives():
    space = keras_tuner.HyperParameters()
    advised(network()).build(space)
    assert set(space.values) == {
        f"advice/{name}" for name in ("N102", "T501", "normalization", "dropout", "weight_decay")
    }
    options = {parameter.name: list(parameter.values) for parameter in space.space if hasattr(parameter, "values")}
    assert options["advice/dropout"] == [AS_ADVISED, "without-dropout", "dropout-0.2", "dropout-0.5"]
    assert "norm-renorm" in options["advice/normalization"]
    assert "weight-decay-0.01" in options["advice/weight_decay"]


def test_the_defaults_are_the_advice_and_every_choice_has_its_effect():
    original = network()
    hypermodel = advised(original)
    model, _ = built(hypermodel)
    assert "GroupNormalization" in classes(model)
    model, _ = built(hypermodel, N102=False)
    assert classes(model) == classes(original)
    model, _ = built(hypermodel, **{"normalization": "norm-layer", "dropout": "dropout-0.5"})
    assert "LayerNormalization" in classes(model)
    assert next(layer for layer in model.layers if isinstance(layer, layers.Dropout)).rate == 0.5
    model, _ = built(hypermodel, weight_decay="weight-decay-0.01")
    assert (type(model.optimizer), model.optimizer.weight_decay) == (keras.optimizers.AdamW, 1e-2)
    assert "BatchNormalization" in classes(original)
    assert type(original.optimizer) is keras.optimizers.Adam


def test_a_change_of_the_run_can_be_left_out(digits):
    hypermodel = advised(network(), epochs=12)
    lengths = {}
    for stops in (True, False):
        keras.utils.set_random_seed(0)
        model, space = built(hypermodel, T501=stops)
        model.optimizer.learning_rate = 0.0
        history = hypermodel.fit(space, model, *digits[1], validation_data=digits[1], verbose=0)
        lengths[stops] = len(history.history["loss"])
    assert lengths == {True: 6, False: 12}


def test_initial_values_are_drawn_anew_and_those_of_a_trained_model_kept(digits):
    hypermodel = advised(network())
    one, other = (built(hypermodel)[0].layers[0].get_weights()[0] for _ in range(2))
    assert not np.array_equal(one, other)
    trained = network()
    trained.fit(*digits[0], epochs=1, verbose=0)
    model, space = built(advised(trained, select="N102,T501"))
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], trained.layers[0].get_weights()[0])
    assert "advice/N102" not in space.values
    assert "advice/T501" in space.values


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_random_search_finds_a_model_that_is_as_good_as_its_score(digits, tmp_path):
    train, validation = digits
    keras.utils.set_random_seed(0)
    hypermodel = advised(network(), data=train, select="N102,R305,A4,R307", seed=0)
    tuner = keras_tuner.RandomSearch(
        hypermodel, objective="val_accuracy", max_trials=3, seed=1, directory=tmp_path, project_name="digits"
    )
    tuner.search(*train, validation_data=validation, epochs=2, batch_size=16, verbose=0)
    trials = tuner.oracle.trials.values()
    assert len(trials) == 3
    assert {trial.status for trial in trials} == {"COMPLETED"}
    assert len({str(sorted(trial.hyperparameters.values.items())) for trial in trials}) == 3
    (best,) = tuner.get_best_models(1)
    (hyperparameters,) = tuner.get_best_hyperparameters(1)
    score = tuner.oracle.get_best_trials(1)[0].score
    predicted = np.argmax(best.predict(validation[0], verbose=0), axis=-1)
    assert np.mean(predicted == validation[1]) == pytest.approx(score)
    # The best is trained again, longer, as KerasTuner's users do.
    again = hypermodel.build(hyperparameters)
    assert len(hypermodel.fit(hyperparameters, again, *train, epochs=1, verbose=0).history["loss"]) == 1


@pytest.mark.parametrize("as_class", [False, True])
def test_a_function_or_hypermodel_keeps_its_own_hyperparameters(as_class):
    def build(hp):
        return network(hp.Choice("filters", [8, 16]))

    class Own(keras_tuner.HyperModel):
        def build(self, hp):
            return build(hp)

    hypermodel = advised(Own() if as_class else build)
    space = keras_tuner.HyperParameters()
    assert hypermodel.build(space).layers[0].filters == 8
    assert {"filters", "advice/N102"} <= space.values.keys()
    space.values["filters"] = 16
    assert hypermodel.build(space).layers[0].filters == 16


def test_a_model_that_build_did_not_make_is_trained_by_the_plan_all_the_same(digits):
    hypermodel = advised(network())
    _, space = built(hypermodel, weight_decay="weight-decay-0.01")
    stranger = network()
    hypermodel.fit(space, stranger, *digits[0], epochs=1, verbose=0)
    assert stranger.optimizer.weight_decay == 1e-2


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="Received: int"):
        AdvisedHyperModel(3)
