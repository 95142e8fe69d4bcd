import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from advisor.export.errors import ExportError
from advisor.export.samples import MAX_SAMPLES, Samples, verification_samples, samples_for
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
    np.testing.assert_array_equal(verification_samples(one_input(), data), X)


@pytest.mark.parametrize("structure", [list, tuple, dict])
def test_several_inputs_come_in_the_structure_of_the_model(structure):
    model = two_inputs(structure)
    given = {"a": X, "b": Y[:, None]} if structure is dict else structure([X, Y[:, None]])
    for data in (given, (given, Y), {"a": X, "b": Y}):
        samples = samples_for(read_signature(model, None, 1), verification_samples(model, data))
        assert samples.count == 5
        np.testing.assert_array_equal(samples.arrays["a"], X)
        np.testing.assert_array_equal(samples.arrays["b"], Y[:, None].astype("float32"))


def test_at_most_the_verification_samples_are_used():
    data = np.zeros((MAX_SAMPLES + 5, 4))
    assert verification_samples(one_input(), data).shape == (MAX_SAMPLES, 4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X[:0], "at least one sample"),
        ({"c": X}, "must have the structure"),
        (3, "must be arrays in the structure"),
        (iter([]), "must be arrays in the structure"),
    ],
)
def test_data_that_does_not_fit_is_refused(data, message):
    with pytest.raises(ExportError, match=f"{message}.*Received: "):
        verification_samples(one_input(), data)


def test_inputs_of_unequal_length_are_refused():
    with pytest.raises(ExportError, match=r"as many for every input.*Received: shapes=\[\(5, 4\), \(4, 1\)\]"):
        verification_samples(two_inputs(list), [X, Y[:4, None]])


def test_the_last_batch_is_filled_up():
    batches = list(Samples({"x": X}, 5).batches(3))
    np.testing.assert_array_equal(batches[0]["x"], X[:3])
    np.testing.assert_array_equal(batches[1]["x"], X[[3, 4, 4]])
    assert len(batches) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_an_error(value):
    with pytest.raises(ExportError, match=r"finite numbers only\. Received: 20 NaN or infinite values"):
        verification_samples(one_input(), np.full_like(X, value))
