import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from advisor.export.errors import ExportError
from advisor.export.samples import (
    MAX_LABELLED_SAMPLES,
    MAX_SAMPLES,
    SEARCHED_SAMPLES,
    Samples,
    calibration_samples,
    drawn_samples,
    samples_for,
    verification_samples,
)
from advisor.export.signature import read_signature

X = np.arange(20.0, dtype="float32").reshape(5, 4)
Y = np.arange(5)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return X, Y


def one_input():
    return keras.Sequential([keras.Input((4,)), layers.Dense(2)])


def two_inputs(structure):
    a, b = keras.Input((4,), name="a"), keras.Input((1,), name="b")
    return keras.Model({"a": a, "b": b} if structure is dict else structure([a, b]), layers.Concatenate()([a, b]))


@pytest.mark.parametrize(
    "data",
    [
        X,
        [X],
        (X,),
        (X, Y),
        (X, Y, np.ones(5)),
        tf.constant(X),
        tf.data.Dataset.from_tensor_slices(X).batch(5),
        tf.data.Dataset.from_tensor_slices((X, Y)).batch(5),
        Batches(),
        iter([(X, Y), (X + 1, Y)]),
    ],
    ids=lambda data: type(data).__name__,
)
def test_whatever_fit_takes_gives_the_inputs(data):
    np.testing.assert_array_equal(verification_samples(one_input(), data).inputs[:5], X)


@pytest.mark.parametrize("structure", [list, tuple, dict])
def test_several_inputs_come_in_the_structure_of_the_model(structure):
    model = two_inputs(structure)
    given = {"a": X, "b": Y[:, None]} if structure is dict else structure([X, Y[:, None]])
    for data in (given, (given, Y), {"a": X, "b": Y}):
        samples = samples_for(read_signature(model, None, 1), verification_samples(model, data).inputs)
        assert samples.count == 5
        np.testing.assert_array_equal(samples.arrays["a"], X)
        np.testing.assert_array_equal(samples.arrays["b"], Y[:, None].astype("float32"))


def test_at_most_the_first_samples_are_used():
    data = np.zeros((MAX_SAMPLES + 5, 4))
    assert verification_samples(one_input(), data).inputs.shape == (MAX_SAMPLES, 4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X[:0], "at least one sample"),
        ({"c": X}, "must have the structure"),
        (3, "must be arrays in the structure"),
        (iter([]), "at least one sample"),
    ],
)
def test_data_that_does_not_fit_is_refused(data, message):
    with pytest.raises(ExportError, match=f"{message}.*Received: "):
        verification_samples(one_input(), data)


def test_inputs_of_unequal_length_are_refused():
    with pytest.raises(ExportError, match=r"as many for every input.*Received: shapes=\[\(5, 4\), \(4, 1\)\]"):
        verification_samples(two_inputs(list), [X, Y[:4, None]])


def test_several_batches_are_read_and_their_labels_with_them():
    data = tf.data.Dataset.from_tensor_slices((np.arange(40.0).reshape(10, 4), np.arange(10))).batch(3).repeat()
    found = verification_samples(one_input(), data)
    assert found.count == MAX_LABELLED_SAMPLES
    np.testing.assert_array_equal(found.inputs[:, 0] / 4, np.arange(MAX_LABELLED_SAMPLES) % 10)
    np.testing.assert_array_equal(found.labels, np.arange(MAX_LABELLED_SAMPLES) % 10)


def test_large_samples_are_few_even_with_labels(monkeypatch):
    monkeypatch.setattr("advisor.export.samples.MAX_LABELLED_BYTES", 200 * X[:1].nbytes)
    assert verification_samples(one_input(), (np.zeros((500, 4), "float32"), np.zeros(500))).count == 200
    monkeypatch.setattr("advisor.export.samples.MAX_LABELLED_BYTES", 1)
    assert verification_samples(one_input(), (np.zeros((500, 4), "float32"), np.zeros(500))).count == MAX_SAMPLES


def test_labels_keep_their_structure_and_their_rows():
    found = verification_samples(one_input(), (X, {"a": Y, "b": [Y, None]}))
    np.testing.assert_array_equal(found.labels["b"][0], Y)
    assert found.labels["b"][1] is None
    with pytest.raises(ExportError, match=r"as many labels as samples.*Received: 5 samples, labels of .*\(4,\)"):
        verification_samples(one_input(), (X, Y[:4]))


ROWS = np.arange(4000.0).reshape(1000, 4)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_representative_samples_are_a_random_sample_without_replacement(batched, seed):
    labels = np.arange(1000)
    data = tf.data.Dataset.from_tensor_slices((ROWS, labels)).batch(64) if batched else (ROWS, labels)
    found = drawn_samples(one_input(), data, 100, seed)
    rows = found.labels
    np.testing.assert_array_equal(found.inputs, ROWS[rows])
    assert len(set(rows)) == 100
    # Uniform: of 100 draws from 1,000 rows the mean has a standard deviation of 27.
    assert abs(rows.mean() - 499.5) < 4 * 27
    again = drawn_samples(one_input(), data, 100, seed)
    other = drawn_samples(one_input(), data, 100, seed + 7)
    np.testing.assert_array_equal(again.labels, rows)
    assert set(other.labels) != set(rows)


def test_every_row_is_drawn_as_often_as_any_other():
    batches = [(ROWS[first : first + 3], np.arange(first, min(first + 3, 20))) for first in range(0, 20, 3)]
    batches[-1] = (ROWS[18:20], np.arange(18, 20))
    model = one_input()
    counts = np.zeros(20)
    for seed in range(150):
        counts[drawn_samples(model, iter(batches), 5, seed).labels] += 1
    # Each is drawn with probability 1/4: 37.5 ± 5.3 times.
    assert np.abs(counts - 37.5).max() < 4.5 * 5.3


def test_an_endless_data_set_is_read_only_so_far():
    read = []

    def batches():
        while True:
            read.append(1)
            yield X[:1].repeat(1000, axis=0), np.zeros(1000)

    assert drawn_samples(one_input(), batches(), 64, 0).count == 64
    assert len(read) == SEARCHED_SAMPLES // 1000


def test_fewer_samples_than_wanted_are_all_taken():
    np.testing.assert_array_equal(drawn_samples(one_input(), X, 100, 0).inputs, X)


def test_tokens_must_be_whole_numbers():
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(9, 2)])
    assert drawn_samples(model, np.array([[1.0, 2.0, 3.0]]), 1, 0).count == 1
    with pytest.raises(ExportError, match=r"`representative_data` for input .* whole numbers.*int32.*such as 2\.5"):
        drawn_samples(model, np.array([[1.0, 2.5, 3.0]]), 1, 0)


def test_representative_samples_have_the_shape_that_is_exported():
    model = keras.Sequential([keras.Input((None, 4), name="series"), layers.Dense(2)])
    signature = read_signature(model, np.zeros((1, 7, 4)), 1)
    drawn = drawn_samples(model, np.zeros((2, 9, 4)), 2, 0)
    with pytest.raises(ExportError, match=r"'series' must have the shape .*\(None, 7, 4\).*Received: \(2, 9, 4\)"):
        calibration_samples(signature, drawn)


def test_batches_of_several_shapes_are_refused():
    model = keras.Sequential([keras.Input((None, 4)), layers.Dense(2)])
    with pytest.raises(ExportError, match=r"samples of one shape. Received: "):
        verification_samples(model, iter([np.zeros((2, 3, 4)), np.zeros((2, 5, 4))]))


def test_the_last_batch_is_filled_up():
    batches = list(Samples({"x": X}, 5).batches(3))
    np.testing.assert_array_equal(batches[0]["x"], X[:3])
    np.testing.assert_array_equal(batches[1]["x"], X[[3, 4, 4]])
    assert len(batches) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_an_error(value):
    with pytest.raises(ExportError, match=r"finite numbers only\. Received: 20 NaN or infinite values"):
        verification_samples(one_input(), np.full_like(X, value))
