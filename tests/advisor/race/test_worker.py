"""What goes to a worker and what comes back, without a cluster in between."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from advisor.race.candidate import Candidate
from advisor.race.data import race_data
from advisor.race.scoring import scorer_for
from advisor.race.trial import Trial, train
from advisor.race.worker import pack, received, sendable, unpack, work
from advisor.training import TrainingPlan

LOSS = "sparse_categorical_crossentropy"


class Halved(keras.layers.Layer):
    """A layer of the user's own that is not registered."""

    def call(self, inputs):
        return inputs / 2


def own_loss(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred) * 2


class Unloadable(keras.layers.Layer):
    """A layer that cannot be made from its configuration."""

    def call(self, inputs):
        return inputs

    @classmethod
    def from_config(cls, config):
        raise KeyError("size")


def network(*more, loss=LOSS):
    layers = [keras.layers.Dense(8, activation="relu"), *more, keras.layers.Dense(2, activation="softmax")]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.5), loss, metrics=["accuracy"])
    return model


def samples(count=64):
    x = np.random.default_rng(0).normal(size=(count, 4)).astype("float32")
    return x, (x[:, 0] > 0).astype("int32")


def sent(thing):
    return pickle.loads(pickle.dumps(thing))


@pytest.mark.parametrize("keeps_weights", [False, True])
@pytest.mark.parametrize("plan", [None, TrainingPlan(weight_decay=1e-3, early_stopping={"patience": 2})])
def test_a_candidate_arrives_as_it_was(plan, keeps_weights):
    model = network(Halved(), keras.layers.BatchNormalization(), loss=own_loss)
    model.layers[-2].moving_mean.assign(np.arange(8))
    candidate = Candidate("own", "my own", model, plan, ("N102",), keeps_weights)
    arrived = unpack(sent(pack(candidate)))
    assert arrived.fingerprint == candidate.fingerprint
    assert (arrived.name, arrived.title, arrived.codes) == ("own", "my own", ("N102",))
    x, _ = samples()
    np.testing.assert_allclose(arrived.model.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)
    assert type(arrived.model.layers[1]).__name__ == "Halved"


def test_models_made_before_do_not_count():
    one, other = (Candidate("own", "my own", network(keras.layers.Dropout(0.2)), None) for _ in range(2))
    assert one.model.optimizer.name != other.model.optimizer.name
    assert one.fingerprint == other.fingerprint


def test_a_model_that_cannot_be_saved_is_refused():
    candidate = Candidate("odd", "odd", network(Unloadable()), None)
    with pytest.raises(ValueError, match=r"`odd` must be a model that can be saved and loaded.*Received: "):
        pack(candidate)


@pytest.mark.tensorflow_only
def test_a_pipeline_arrives_with_its_operations():
    x, y = samples()
    pipeline = tf.data.Dataset.from_tensor_slices((x, y)).map(lambda x, y: (x * 2, y)).batch(24).repeat(2).prefetch(1)
    data = race_data(pipeline, samples(), None)
    arrived = received(sent(sendable(data)))
    for ours, theirs in zip(arrived.training, pipeline, strict=True):
        keras.tree.map_structure(np.testing.assert_array_equal, ours, theirs)
    assert arrived.training.cardinality() == pipeline.cardinality()
    assert arrived.fingerprint == data.fingerprint


@pytest.mark.tensorflow_only
def test_a_pipeline_that_runs_python_is_refused():
    x, y = samples()
    spec = (tf.TensorSpec((None, 4), tf.float32), tf.TensorSpec((None,), tf.int32))
    pipeline = tf.data.Dataset.from_generator(lambda: iter([(x, y)]), output_signature=spec)
    with pytest.raises(ValueError, match=r"`data` cannot be sent.*give arrays.*Received: a tf.data.Dataset"):
        sendable(race_data(pipeline, samples(), None))


def test_arrays_are_sent_as_they_are():
    data = race_data(samples(), samples(), 16)
    assert sendable(data) is data
    assert received(data) is data


def test_work_delivers_what_training_here_gives():
    model = network(keras.layers.Dropout(0.3))
    candidate = Candidate("own", "my own", model, TrainingPlan())
    data, trial = race_data(samples(100), samples(50), 16), Trial("own", 1, 3)
    scorer = scorer_for(model, LOSS, data.choosing, 16)
    expected = train(candidate, data, scorer, trial.seed, trial.epochs)
    short = train(candidate, data, scorer, trial.seed, 2)
    deliveries, reports = [], []
    work(
        sent(pack(candidate)),
        data,
        scorer,
        trial,
        2,
        report=reports.append,
        deliver=lambda d: deliveries.append(sent(d)),
    )
    heat, final = deliveries
    assert heat.trial == Trial("own", 1, 2)
    assert heat.model is None
    np.testing.assert_array_equal(heat.outcome.scores, short.scores)
    assert heat.outcome.choice == reports[1]["score"] == short.choice
    assert final.trial == trial
    np.testing.assert_array_equal(final.outcome.scores, expected.scores)
    assert final.outcome.history == expected.history
    assert [report["epoch"] for report in reports] == [1, 2, 3]


def test_the_model_that_comes_back_gives_the_scores(tmp_path):
    candidate = Candidate("own", "my own", network(), None)
    data = race_data(samples(200), samples(100), 16)
    scorer = scorer_for(candidate.model, LOSS, data.choosing, 16)
    deliveries = []
    work(pack(candidate), data, scorer, Trial("own", 0, 2), None, report=lambda _: None, deliver=deliveries.append)
    (final,) = deliveries
    file = tmp_path / "model.keras"
    file.write_bytes(final.model)
    np.testing.assert_array_equal(scorer(keras.saving.load_model(file), data.judging, 16), final.outcome.scores)


def test_predictions_that_are_no_numbers_are_a_failure_by_the_heat():
    model = network(loss="mse")
    candidate = Candidate("own", "my own", model, None)
    x, y = samples()
    data = race_data((x, y.astype("float32")[:, None]), (x, y.astype("float32")[:, None]), 16)
    scorer = scorer_for(model, "mse", data.choosing, 16)
    model.optimizer.learning_rate = 1e30
    deliveries = []
    work(pack(candidate), data, scorer, Trial("own", 0, 2), 1, report=lambda _: None, deliver=deliveries.append)
    assert all(delivery.outcome.failure for delivery in deliveries)
    assert all(delivery.outcome.choice == -np.inf for delivery in deliveries)
    assert deliveries[-1].model is None
