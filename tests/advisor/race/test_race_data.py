"""Validation samples in two halves, and batches whose order is the seed's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from advisor.race.data import race_data

X, Y = np.arange(20.0).reshape(10, 2).astype("float32"), np.arange(10)
VALIDATION = (X[:5], Y[:5])


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return X[2 * index : 2 * index + 2], Y[2 * index : 2 * index + 2]


def order(data, seed, epochs=2):
    batches = data.batches(seed)
    return [[int(y) for _, labels in batches for y in labels] for _ in range(epochs)]


def test_the_halves_share_no_sample():
    data = race_data((X, Y), VALIDATION, batch_size=4)
    assert data.choosing[1].tolist() == [0, 2, 4]
    assert data.judging[1].tolist() == [1, 3]
    assert data.choosing[0].tolist() == X[[0, 2, 4]].tolist()


@pytest.mark.parametrize("make", [lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(3), Batches])
def test_any_validation_data_is_parted(make):
    data = race_data((X, Y), make(), batch_size=4)
    assert data.choosing[1].tolist() == [0, 2, 4, 6, 8]
    assert data.judging[1].tolist() == [1, 3, 5, 7, 9]


def test_the_order_is_the_seeds_and_changes_with_every_epoch():
    data = race_data((X, Y), VALIDATION, batch_size=4)
    first = order(data, 7)
    np.random.default_rng().random()
    tf.random.uniform((3,))
    assert order(data, 7) == first
    assert first[0] != first[1]
    assert order(data, 8) != first
    assert sorted(first[0]) == sorted(first[1]) == list(range(10))


def test_batches_keep_weights_and_structures():
    data = race_data(({"a": X, "b": X[:, :1]}, Y, np.ones(10)), VALIDATION, batch_size=4)
    inputs, labels, weights = next(iter(data.batches(0)))
    assert {name: part.shape[0] for name, part in inputs.items()} == {"a": 4, "b": 4}
    assert np.array_equal(inputs["a"][:, :1], inputs["b"])
    assert labels.shape == weights.shape == (4,)


def test_data_with_an_order_of_its_own_is_taken_as_it_is_and_told():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(3)
    data = race_data(dataset, VALIDATION, batch_size=None)
    assert data.batches(0) is dataset
    assert "no seed of the race decides" in data.notes[0]
    assert race_data((X, Y), VALIDATION, batch_size=None).notes == ()


def test_a_fingerprint_tells_data_apart():
    base = race_data((X, Y), VALIDATION, batch_size=4).fingerprint
    assert race_data((X.copy(), Y.copy()), VALIDATION, batch_size=4).fingerprint == base
    others = [
        race_data((X + 1, Y), VALIDATION, batch_size=4),
        race_data((X, Y[::-1].copy()), VALIDATION, batch_size=4),
        race_data((X, Y), (X[1:6], Y[1:6]), batch_size=4),
        race_data((X, Y), VALIDATION, batch_size=5),
        race_data(tf.data.Dataset.from_tensor_slices((X, Y)).batch(4), VALIDATION, batch_size=4),
    ]
    assert len({base, *(other.fingerprint for other in others)}) == 6


@pytest.mark.parametrize(
    ("data", "validation", "message"),
    [
        ((X, Y), None, "`validation_data` must be given"),
        ((X, Y), (X, None), "`validation_data` must have labels"),
        ((X, Y), (X[:1], Y[:1]), "at least 2 samples. Received: 1"),
        ((X, Y), tf.data.Dataset.from_tensor_slices((X, Y)).batch(2).repeat(), "must come to an end"),
        (X, VALIDATION, "`data` must have labels"),
        ((X,), VALIDATION, "`data` must have labels"),
    ],
)
def test_unusable_data_is_refused(data, validation, message):
    with pytest.raises(ValueError, match=message):
        race_data(data, validation, batch_size=None)


def test_a_generator_is_refused():
    with pytest.raises(TypeError, match="only once"):
        race_data((batch for batch in [(X, Y)]), VALIDATION, batch_size=None)
