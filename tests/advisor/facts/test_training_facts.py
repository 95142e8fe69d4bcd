"""The planned run, put together from what is said and what the data shows."""

import keras
import numpy as np
import pytest

from advisor.facts import TrainingFacts, training_facts

UNKNOWN = {
    "batch_size": None,
    "steps_per_epoch": None,
    "epochs": None,
    "replicas": None,
    "history": None,
    "data_batch_size": None,
    "samples": None,
}


def test_nothing_known():
    facts = training_facts(**UNKNOWN)
    assert facts == TrainingFacts()
    assert (facts.replica_batch, facts.total_steps, facts.is_planned) == (None, None, False)


def test_steps_follow_from_samples_and_the_given_batch_size_wins():
    known = {**UNKNOWN, "samples": 1001, "data_batch_size": 8, "epochs": 3}
    assert training_facts(**known).steps_per_epoch == 126
    facts = training_facts(**{**known, "batch_size": 100})
    assert (facts.batch_size, facts.steps_per_epoch, facts.total_steps) == (100, 11, 33)
    assert training_facts(**{**known, "steps_per_epoch": 5}).steps_per_epoch == 5


@pytest.mark.parametrize(("batch", "replicas", "share"), [(32, 1, 32), (32, 8, 4), (4, 8, 1)])
def test_replicas_share_a_batch(batch, replicas, share):
    assert training_facts(**{**UNKNOWN, "batch_size": batch, "replicas": replicas}).replica_batch == share


def test_a_history_gives_records_and_epochs():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    fitted = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=2, verbose=0)
    for history in (fitted, fitted.history):
        facts = training_facts(**{**UNKNOWN, "history": history})
        assert (facts.epochs, len(facts.history["loss"]), facts.is_planned) == (2, 2, True)
    assert training_facts(**{**UNKNOWN, "history": fitted, "epochs": 9}).epochs == 9


@pytest.mark.parametrize("name", ["batch_size", "steps_per_epoch", "epochs", "replicas"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True, "8"])
def test_counts_must_be_whole_numbers_of_at_least_one(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received: {name}={value!r}"):
        training_facts(**{**UNKNOWN, name: value})


def test_numpy_counts_are_counts():
    assert training_facts(**{**UNKNOWN, "batch_size": np.int64(4)}).batch_size == 4


@pytest.mark.parametrize("history", [3, [0.1], {"loss": 0.5}])
def test_other_histories_are_refused(history):
    with pytest.raises(ValueError, match=f"Received: {type(history).__name__}"):
        training_facts(**{**UNKNOWN, "history": history})
