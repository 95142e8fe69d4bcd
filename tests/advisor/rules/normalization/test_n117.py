"""What N117 says beyond its cases."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor import advise


def _model(norm, *, units=4, loss=None, activation=None):
    after = [layers.Activation(activation)] if activation else []
    model = keras.Sequential([keras.Input((6,)), layers.Dense(units), norm, *after])
    if loss:
        model.compile(loss=loss)
    return model


def _found(model, **arguments):
    return [finding.layer for finding in advise(model, select="N117", **arguments).findings]


@pytest.mark.parametrize(
    ("loss", "activation", "speaks"),
    [
        ("mse", None, True),
        ("huber", None, True),
        (keras.losses.MeanAbsoluteError(), "softplus", True),
        (keras.losses.CategoricalCrossentropy(from_logits=True), None, True),
        (None, "sigmoid", True),
        (None, "relu", False),
        (keras.losses.CosineSimilarity(), None, False),
        (lambda y_true, y_pred: ops.mean(y_pred), None, False),
    ],
)
def test_it_speaks_of_outputs_known_to_be_predictions(loss, activation, speaks):
    model = _model(layers.BatchNormalization(name="norm"), loss=loss, activation=activation)
    assert _found(model) == (["norm"] if speaks else [])


def test_every_output_is_looked_at_by_itself():
    inputs = keras.Input((6,))
    features = layers.Dense(8, activation="relu")(inputs)
    outputs = {
        "age": layers.LayerNormalization(name="age")(layers.Dense(1)(features)),
        "kind": layers.Dense(3, activation="softmax", name="kind")(layers.BatchNormalization()(features)),
    }
    assert _found(keras.Model(inputs, outputs)) == ["age"]


def test_a_single_value_normalized_by_itself_says_nothing():
    model = _model(layers.LayerNormalization(), units=1)
    outputs = ops.convert_to_numpy(model(np.random.default_rng(0).normal(size=(8, 6))))
    assert np.ptp(outputs) == 0
    (finding,) = advise(model, select="N117").findings
    assert "says nothing" in finding.why


def test_pooled_maps_of_classes_are_left_alone():
    inner = [layers.Conv2D(5, 1), layers.BatchNormalization(), layers.GlobalAveragePooling2D(), layers.Softmax()]
    assert not _found(keras.Sequential([keras.Input((8, 8, 3)), *inner]))
