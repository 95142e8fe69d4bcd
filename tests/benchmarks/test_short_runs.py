import json

import keras
import numpy as np
from keras import layers

from benchmarks import short_runs


def test_training_takes_as_many_steps_as_asked_for_and_augments_every_epoch_anew():
    keras.utils.set_random_seed(0)
    x = np.arange(10, dtype="float32")[:, None]
    y = (x[:, 0] > 4).astype("int64")
    model = keras.Sequential([keras.Input((1,)), layers.Dense(2)])
    short_runs.compiled(model, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    epochs = []

    def augment(inputs, targets):
        epochs.append(inputs[:, 0].copy())
        return inputs + 0.1, targets

    short_runs.train(model, (x, y), steps=7, seed=0, batch_size=4, augment=augment)
    assert int(model.optimizer.iterations) == 7
    assert len(epochs) == 3
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert list(epochs[0]) != list(epochs[1])


def test_results_are_written_beside_those_that_are_there(tmp_path):
    results = tmp_path / "results.json"
    short_runs.update(results, {"one": 1, "two": 2})
    short_runs.update(results, {"two": 3})
    written = json.loads(results.read_text(encoding="utf-8"))
    assert (written["one"], written["two"]) == (1, 3)
    assert "machine" in written
