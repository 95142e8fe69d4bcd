"""Which normalization fits a place, and that the rules agree on it."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from advisor import advise
from advisor.facts import TrainingFacts, gather_facts
from advisor.graph import read_graph
from advisor.rules.normalization.choice import SMALLEST_GROUP, recommended_norm

BATCH, GROUP, LAYER = "BatchNormalization", "GroupNormalization", "LayerNormalization"


def _choice(model, path, *, target=None, **training):
    facts = gather_facts(read_graph(model), training=TrainingFacts(**training), target=target)
    choice = recommended_norm(facts, facts[path])
    return None if choice is None else (choice.spec.cls.__name__, dict(choice.spec.config))


def _conv(filters=64, shape=(8, 8, 3), **arguments):
    return keras.Sequential([keras.Input(shape), layers.Conv2D(filters, 3, name="place", **arguments)])


def _dense(units=16):
    return keras.Sequential([keras.Input((6,)), layers.Dense(units, name="place")])


@pytest.mark.parametrize(
    ("training", "target", "expected"),
    [
        ({}, None, (BATCH, {})),
        ({"batch_size": 8}, None, (BATCH, {})),
        ({"batch_size": 7}, None, (GROUP, {"groups": 32})),
        ({"batch_size": 64, "replicas": 16}, None, (BATCH, {"synchronized": True})),
        ({"batch_size": 4, "replicas": 2}, None, (GROUP, {"groups": 32})),
        ({"batch_size": 4, "steps_per_epoch": 1, "epochs": 5}, "mobile", (BATCH, {"renorm": True})),
        ({"batch_size": 64}, "mobile", (BATCH, {})),
        ({"batch_size": 64, "steps_per_epoch": 1, "epochs": 5}, None, (BATCH, {"momentum": 0.5})),
    ],
)
def test_maps(training, target, expected):
    assert _choice(_conv(), "place", target=target, **training) == expected


@pytest.mark.parametrize(
    ("batch_size", "expected"), [(None, (BATCH, {})), (32, (BATCH, {})), (31, (LAYER, {})), (1, (LAYER, {}))]
)
def test_feature_vectors(batch_size, expected):
    assert _choice(_dense(), "place", batch_size=batch_size, target="mobile") == expected


@pytest.mark.parametrize(("batch_size", "name"), [(64, BATCH), (2, GROUP)])
def test_the_axis_follows_the_data_format(batch_size, name):
    model = _conv(8, shape=(3, 8, 8), data_format="channels_first")
    chosen, config = _choice(model, "place", batch_size=batch_size)
    assert (chosen, config["axis"]) == (name, 1)


def test_few_features_are_not_normalized_by_themselves():
    assert _choice(_dense(units=4), "place", batch_size=8) is None


def test_steps_of_a_recurrent_sequence_are_normalized_one_by_one():
    stack = [layers.LSTM(8, return_sequences=True), layers.Dense(16, name="place"), layers.ReLU(), layers.GRU(4)]
    model = keras.Sequential([keras.Input((6, 3)), *stack])
    assert _choice(model, "place", batch_size=64) == (LAYER, {})


def test_convolutions_before_recurrent_layers_are_normalized_like_other_convolutions():
    model = keras.Sequential([keras.Input((6, 3)), layers.Conv1D(16, 3, name="place"), layers.GRU(4)])
    assert _choice(model, "place", batch_size=64) == (BATCH, {})


def test_maps_with_one_position_are_feature_vectors():
    assert _choice(_conv(16, shape=(3, 3, 3)), "place", batch_size=2) == (LAYER, {})


@pytest.mark.parametrize(
    ("loss", "expected"), [("mse", (BATCH, {"renorm": True})), ("binary_crossentropy", (GROUP, {"groups": 8}))]
)
def test_what_makes_images_keeps_their_contrast_and_masks_have_none(loss, expected):
    head = layers.Conv2DTranspose(1, 3, activation="sigmoid")
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(8, 3, name="place"), head])
    model.compile("adam", loss)
    assert _choice(model, "place", batch_size=2) == expected


@settings(max_examples=25)
@given(filters=st.integers(1, 96), size=st.integers(4, 6))
def test_groups_divide_the_channels_and_are_large_enough_to_normalize(filters, size):
    place = layers.Conv2D(filters, 3, name="place")
    model = keras.Sequential([keras.Input((size, size, 3)), place, layers.GlobalMaxPooling2D()])
    name, config = _choice(model, "place", batch_size=2)
    positions = (size - 2) ** 2
    assert name == GROUP
    values = positions * filters // config["groups"]
    assert filters % config["groups"] == 0
    assert config["groups"] == 1 or values >= SMALLEST_GROUP
    maps = np.random.default_rng(0).normal(size=(2, size - 2, size - 2, filters)).astype("float32")
    normalized = keras.ops.convert_to_numpy(layers.GroupNormalization(**config)(maps))
    if positions * filters >= SMALLEST_GROUP:
        assert normalized.std() == pytest.approx(1, abs=0.05)


def _bare_network(kind):
    if kind == "maps":
        inner = [layers.Conv2D(8, 3, padding="same", activation="relu") for _ in range(3)]
        return keras.Sequential([keras.Input((8, 8, 3)), *inner, layers.GlobalMaxPooling2D(), layers.Dense(2)])
    if kind == "vectors":
        inner = [layers.Dense(8, activation="relu") for _ in range(4)]
        return keras.Sequential([keras.Input((6,)), *inner, layers.Dense(2)])
    inner = [layers.TimeDistributed(layers.Dense(8, activation="relu")) for _ in range(4)]
    recurrent = layers.LSTM(8, return_sequences=True)
    return keras.Sequential([keras.Input((5, 6)), recurrent, *inner, layers.LSTM(4), layers.Dense(2)])


@pytest.mark.parametrize("kind", ["maps", "vectors", "sequences"])
@pytest.mark.parametrize(
    "run",
    [
        {"batch_size": 64},
        {"batch_size": 16, "steps_per_epoch": 50, "epochs": 2},
        {"batch_size": 4, "target": "mobile", "steps_per_epoch": 50, "epochs": 2},
        {"batch_size": 64, "replicas": 16},
        {"batch_size": 1},
    ],
)
def test_no_other_rule_objects_to_what_was_inserted(kind, run):
    advice = advise(_bare_network(kind), select="N105", **run)
    assert [finding.code for finding in advice.findings] == ["N105"]
    others = advise(advice.apply(), select=["N102", "N103", "N104", "N105", "N106", "N107", "N112", "N114"], **run)
    assert others.findings == ()
