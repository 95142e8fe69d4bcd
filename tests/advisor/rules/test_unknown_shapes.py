"""Layers that Python code calls in a way nobody can follow: no shapes, no connections, and no rule trips over them."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_normpack
from advisor import advise
from advisor.rules import all_rules


class Unfollowable(keras.Model):
    """Goes on by what the values are, which symbolic tensors do not have."""

    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def call(self, x, training=None):
        if bool(keras.ops.all(x > 1e6)):
            return x
        for part in self.parts:
            x = part(x, training=training) if isinstance(part, layers.Dropout) else part(x)
        return x


def image_parts():
    return [
        layers.Conv2D(8, 3, padding="same", activation="selu", kernel_regularizer="l2", bias_regularizer="l2"),
        layers.GroupNormalization(4),
        layers.DepthwiseConv2D(3, depthwise_initializer="zeros"),
        layers.BatchNormalization(),
        keras_normpack.InstanceNormalization(),
        layers.Dropout(0.7),
        layers.ReLU(),
        layers.Activation("softmax"),
        layers.Flatten(),
        layers.Dense(16, kernel_regularizer=keras.regularizers.L2(0.1)),
        layers.Dropout(0.0),
        layers.Dense(1, activation="softmax"),
    ]


def sequence_parts():
    return [
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
        layers.BatchNormalization(),
        layers.GRU(4, return_sequences=True),
        layers.TimeDistributed(layers.Dense(4)),
        layers.LayerNormalization(),
        layers.RMSNormalization(),
        layers.SimpleRNN(4),
        layers.Softmax(),
    ]


@pytest.mark.parametrize(
    ("parts", "shape"), [(image_parts, (8, 8, 8, 3)), (sequence_parts, (8, 6, 3))], ids=["images", "sequences"]
)
def test_no_rule_trips_over_layers_without_shapes(parts, shape):
    model = Unfollowable(parts())
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    model(x)
    model.compile("adam", "mse")
    known = {"epochs": 2, "steps_per_epoch": 4, "history": {"loss": [1.0, 2.0]}, "target": "mobile", "replicas": 2}
    for task in ("classification", "image_to_image", "generation"):
        advice = advise(model, batch_size=4, task=task, **known)
        assert [failure.trace for failure in advice.failures] == []
        ran = set(all_rules()) - {rule.code for rule in advice.not_run}
        assert {"N119", "H601", "E702", "T502"} <= ran
    with_data = advise(model, data=(x, np.zeros((8, 1), "float32")), probe_seconds=1, **known)
    assert [failure.trace for failure in with_data.failures] == []
