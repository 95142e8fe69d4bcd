"""`Advice.export`: the data that `advise` was given is used, and what is given here counts instead."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise

RNG = np.random.default_rng(0)
TRAIN = RNG.normal(size=(40, 3)).astype("float32"), RNG.integers(0, 2, 40)
VALIDATION = RNG.normal(size=(20, 3)).astype("float32"), RNG.integers(0, 2, 20)


@pytest.fixture
def calls(monkeypatch):
    noted = []
    monkeypatch.setattr("advisor.export.export_model", lambda *args, **arguments: noted.append(arguments))
    return noted


def network(shape=(3,)):
    stack = [layers.GlobalAveragePooling1D()] if len(shape) > 1 else []
    return keras.Sequential([keras.Input(shape), *stack, layers.Dense(2, activation="softmax")])


def samples(batches):
    return np.concatenate([x for x, _ in batches])


def test_validation_data_verifies_and_training_data_calibrates(calls):
    advice = advise(network(), data=TRAIN, validation_data=VALIDATION, verbose=0, probe_seconds=0)
    advice.export("o.tflite", quantize="int8")
    assert calls[0]["format"] == "tflite"
    verified, calibrated = samples(calls[0]["verify_data"]), samples(calls[0]["representative_data"])
    assert {row.tobytes() for row in verified} <= {row.tobytes() for row in VALIDATION[0]}
    assert {row.tobytes() for row in calibrated} <= {row.tobytes() for row in TRAIN[0]}


def test_only_calibration_gets_representative_data(calls):
    advise(network(), data=TRAIN, verbose=0, probe_seconds=0).export("o.tflite", quantize="dynamic")
    assert set(calls[0]) == {"format", "quantize", "verify_data"}
    assert {row.tobytes() for row in samples(calls[0]["verify_data"])} <= {row.tobytes() for row in TRAIN[0]}


def test_data_given_here_counts(calls):
    advice = advise(network(), data=TRAIN, verbose=0, probe_seconds=0)
    own = np.ones((2, 3), "float32")
    advice.export("o.onnx", "onnx", verify_data=own, tolerance=0.5)
    assert calls == [{"format": "onnx", "verify_data": own, "tolerance": 0.5}]


def test_without_data_the_export_draws_its_own(calls):
    advise(network(), verbose=0).export("served", format="saved_model")
    assert calls == [{"format": "saved_model", "verify_data": None}]


def test_batches_of_other_lengths_are_left_out(calls):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return np.ones((2, (5, 5, 7)[index], 3), "float32"), np.array([0, 1])

    advise(network((None, 3)), data=Batches(), verbose=0, probe_seconds=0).export("o.tflite")
    assert [x.shape for x, _ in calls[0]["verify_data"]] == [(2, 5, 3), (2, 5, 3)]


def test_the_model_is_exported_and_verified_on_the_data(tmp_path):
    data = TRAIN[0][:32], TRAIN[1][:32]
    report = advise(network(), data=data, verbose=0, probe_seconds=0).export(tmp_path / "served", "saved_model")
    assert report.verified_samples == 32
    assert report.max_relative_difference <= 1e-5
