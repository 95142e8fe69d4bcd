"""A small network with findings of every kind, and a way to make examinations of chosen findings."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise
from advisor.facts import gather_facts
from advisor.graph import read_graph
from advisor.rules.examination import Examination


def small_cnn() -> keras.Model:
    stack = [
        layers.Conv2D(8, 3, name="conv1"),
        layers.BatchNormalization(name="bn1"),
        layers.ReLU(name="relu1"),
        layers.Dropout(0.3, name="drop1"),
        layers.Conv2D(8, 3, name="conv2"),
        layers.BatchNormalization(name="bn2"),
        layers.GlobalAveragePooling2D(name="pool"),
        layers.Dense(4, activation="softmax", name="predictions"),
    ]
    model = keras.Sequential([keras.Input((8, 8, 1)), *stack], name="small_cnn")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.fixture(scope="session")
def advice():
    # Samples that differ in brightness alone, so that batches differ from each other and N102 has something to measure.
    x = np.ones((32, 8, 8, 1), "float32") * np.linspace(-1, 1, 32, dtype="float32").reshape(-1, 1, 1, 1)
    return advise(small_cnn(), batch_size=4, epochs=2, data=(x, np.arange(32) % 4))


@pytest.fixture
def examination_of():
    """Makes an examination of a two-layer model out of findings, rules not run, and failures."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="dense")], name="two_layers")
    facts = gather_facts(read_graph(model))

    def make(findings=(), not_run=(), failures=()):
        return Examination(facts, tuple(findings), tuple(not_run), tuple(failures))

    return make
