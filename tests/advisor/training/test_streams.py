"""Batches of every kind that `fit` takes are changed as planned on their way into it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_normpack
from advisor.graph import LayerSpec
from advisor.training import TrainingPlan

IMAGES = np.random.default_rng(0).uniform(size=(24, 6, 6, 1)).astype("float32")
LABELS = np.arange(24) % 3
FLIP = LayerSpec(keras.layers.RandomFlip, {"mode": "horizontal", "seed": 1})
PLAN = TrainingPlan(label_smoothing=0.1, classes=3, augmentation=(FLIP,), batch_size=8, input_rank=4)


def classifier():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Batches(keras.utils.PyDataset):
    def __init__(self, **workers):
        super().__init__(**workers)
        self.epochs = 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(8 * index, 8 * (index + 1))
        return IMAGES[rows], LABELS[rows]

    def on_epoch_end(self):
        self.epochs += 1


class DataLoader:
    """What a torch DataLoader is, read batch by batch: lists of arrays, anew in each pass."""

    __module__ = "torch.utils.data.dataloader"
    dataset = range(24)

    def __iter__(self):
        return (list(Batches()[index]) for index in range(3))

    def __len__(self):
        return 3


def torch_loader():
    torch = pytest.importorskip("torch", reason="a real DataLoader")
    data = torch.utils.data.TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(LABELS))
    return torch.utils.data.DataLoader(data, batch_size=8)


def endless():
    while True:
        yield from (Batches()[index] for index in range(3))


SOURCES = {
    "dataset": lambda: tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8),
    "PyDataset": Batches,
    "PyDataset with threads": lambda: Batches(workers=2),
    "generator": endless,
    "DataLoader": DataLoader,
    "DataLoader of torch": torch_loader,
}


@pytest.mark.parametrize(
    "source", [pytest.param(name, marks=pytest.mark.slow if "torch" in name else ()) for name in SOURCES]
)
def test_batches_of_every_kind_are_changed_as_planned(source):
    steps = {"steps_per_epoch": 3} if source == "generator" else {}
    model = classifier()
    history = PLAN.fit(model, SOURCES[source](), validation_data=Batches(), epochs=2, verbose=0, **steps)
    assert history.params["steps"] == 3
    assert len(history.history["val_accuracy"]) == 2
    changed = PLAN.prepare(SOURCES[source]())
    first = changed[0] if isinstance(changed, keras.utils.PyDataset) else next(iter(changed))
    x, y = (np.asarray(part) for part in first)
    np.testing.assert_array_equal(y, np.eye(3)[LABELS[:8]])
    mirrored = np.all(np.isclose(x, IMAGES[:8, :, ::-1]), axis=(1, 2, 3))
    kept = np.all(np.isclose(x, IMAGES[:8]), axis=(1, 2, 3))
    assert np.all(mirrored ^ kept)
    assert mirrored.any()
    assert model.evaluate(IMAGES, LABELS, verbose=0)


def test_a_changed_pydataset_is_told_of_its_epochs():
    data, plain = Batches(), Batches()
    PLAN.fit(classifier(), data, epochs=2, verbose=0)
    classifier().fit(plain, epochs=2, verbose=0)
    assert data.epochs == plain.epochs >= 2


def test_layers_of_the_package_change_streams_too():
    jitter = LayerSpec(keras_normpack.RandomJitter, {"stddev": 0.1})
    series = IMAGES[..., 0]
    (x,) = next(TrainingPlan(augmentation=(jitter,), input_rank=3).prepare(part for part in [series]))
    assert 0 < np.abs(x - series).max() < 1
