"""D202, D205, D207 and D208 on models beyond their own cases."""

import time

import keras
import numpy as np
import pytest
from keras import layers

import keras_normpack
from advisor import advise
from advisor.facts import gather_facts
from advisor.graph import read_graph
from advisor.rules import all_rules
from advisor.testing import check_laws
from keras_normpack import DropBlock2D, DropPath


def findings(model, code, **arguments):
    return advise(model, select=code, verbose=0, trained=False, **arguments).findings


def mended(model, select, **arguments):
    return advise(model, select=select, verbose=0, trained=False, **arguments).apply()


def sequences(count, steps=10):
    generator = np.random.default_rng(0)
    return generator.normal(size=(count, steps, 4)).astype("float32"), generator.integers(0, 2, count)


def test_a_shared_dropout_is_lowered_once_to_what_the_inputs_need():
    first, second = keras.Input((6,)), keras.Input((6,))
    drop, hidden = layers.Dropout(0.4, name="drop"), layers.Dense(6, activation="relu")
    model = keras.Model([first, second], layers.Dense(2)(layers.Add()([drop(first), drop(hidden(second))])))
    (finding,) = findings(model, "D202")
    assert finding.layers == ("drop",)
    assert mended(model, "D202").get_layer("drop").rate == 0.2


def test_a_channels_first_map_keeps_its_layout():
    model = keras.Sequential(
        [
            keras.Input((3, 8, 8)),
            layers.Conv2D(4, 3, data_format="channels_first", activation="relu"),
            layers.Dropout(0.3, name="drop"),
            layers.Conv2D(4, 3, data_format="channels_first", activation="relu"),
            layers.GlobalAveragePooling2D(data_format="channels_first"),
        ]
    )
    assert "data_format='channels_first'" in findings(model, "D205")[0].fix.title


def test_a_series_with_the_channels_first_has_no_replacement():
    conv = {"kernel_size": 3, "data_format": "channels_first"}
    model = keras.Sequential(
        [keras.Input((3, 12)), layers.Conv1D(4, **conv), layers.Dropout(0.3), layers.Conv1D(4, **conv)]
    )
    (finding,) = findings(model, "D205")
    assert finding.fix is None


def residual(size):
    inputs = keras.Input((size, size, 4))
    branch = layers.Dropout(0.05, name="drop")(layers.Conv2D(4, 3, padding="same", activation="relu")(inputs))
    maps = layers.Add()([inputs, layers.Conv2D(4, 3, padding="same")(branch)])
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))


@pytest.mark.parametrize(
    ("size", "cls"), [(14, DropBlock2D), (13, layers.SpatialDropout2D), (None, layers.SpatialDropout2D)]
)
def test_blocks_are_dropped_on_maps_of_twice_their_size_and_the_rate_is_not_raised(size, cls):
    drop = mended(residual(size), "D205").get_layer("drop")
    assert type(drop) is cls
    assert drop.rate == 0.05


def test_where_a_batch_norm_follows_the_dropout_moves_instead():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Dropout(0.7),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    rewritten = mended(model, "D")
    assert [type(layer).__name__ for layer in rewritten.layers][-3:] == ["GlobalAveragePooling2D", "Dropout", "Dense"]
    assert rewritten.layers[-2].rate == 0.5


def test_stacked_cells_with_dropout_count():
    cells = [layers.LSTMCell(8, dropout=0.2), layers.LSTMCell(8)]
    model = keras.Sequential([keras.Input((10, 4)), layers.RNN(cells), layers.Dense(2)])
    assert not findings(model, "D207", data=sequences(32), batch_size=8)


def test_layers_of_the_pack_and_convolutional_ones_take_dropout_too():
    model = keras.Sequential(
        [
            keras.Input((10, 4)),
            keras_normpack.LayerNormLSTM(8, return_sequences=True),
            layers.Reshape((10, 8, 1)),
            layers.ConvLSTM1D(4, 3),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    rewritten = mended(model, "D207", data=sequences(32), batch_size=8)
    assert {layer.dropout for layer in rewritten.layers if hasattr(layer, "dropout")} == {0.3}


def test_a_cell_is_changed_by_hand_and_the_finding_says_how():
    model = keras.Sequential([keras.Input((10, 4)), layers.RNN(layers.GRUCell(8), name="own"), layers.Dense(2)])
    (finding,) = findings(model, "D207", data=sequences(32), batch_size=8)
    assert finding.fix is None
    assert "Give the cell of `own` `dropout=0.3`" in finding.why


def deep(blocks, last=lambda index: None):
    inputs = features = keras.Input((8,))
    for index in range(blocks):
        branch = layers.Dense(8, activation="relu")(features)
        branch = last(index)(branch) if last(index) else branch
        features = layers.Add()([features, branch])
    return keras.Model(inputs, layers.Dense(2)(features))


def test_rates_rise_to_a_fifth_from_32_blocks_on():
    rates = [layer.rate for layer in mended(deep(32), "D208").layers if isinstance(layer, DropPath)]
    assert len(rates) == 32
    assert rates[0] == 0.0063
    assert rates[-1] == 0.2


class StochasticDepth(layers.Layer):
    """One of the user's own, known by its name."""

    def call(self, inputs):
        return inputs


@pytest.mark.parametrize("cls", [StochasticDepth, lambda: DropPath(0.1), lambda: layers.Dropout(0.1, (None, 1))])
def test_one_block_with_stochastic_depth_speaks_for_all(cls):
    assert not findings(deep(20, lambda index: cls() if index == 7 else None), "D208")


def test_alpha_dropout_is_no_stochastic_depth():
    assert findings(deep(20, lambda index: layers.AlphaDropout(0.1) if index == 7 else None), "D208")


def test_a_frozen_network_is_left_alone():
    model = deep(20)
    model.trainable = False
    assert not findings(model, "D208")


def test_all_rules_of_the_family_settle_together():
    inputs = keras.Input((16, 16, 3))
    maps = layers.Dropout(0.4)(inputs)
    maps = layers.Conv2D(4, 3, padding="same", activation="relu")(maps)
    for _ in range(16):
        branch = layers.Conv2D(4, 3, padding="same", activation="relu")(maps)
        maps = layers.Add()([maps, layers.Conv2D(4, 3, padding="same")(branch)])
    maps = layers.Conv2D(4, 3, activation="relu")(layers.Dropout(0.6)(maps))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Flatten()(maps)))
    images = np.random.default_rng(0).normal(size=(32, 16, 16, 3)).astype("float32")
    rewrite = check_laws(
        model, safety="retrain", select="D", trained=False, data=(images, np.arange(32) % 2), batch_size=8
    )
    assert {applied.finding.code for applied in rewrite.applied} == {"D202", "D205", "D206", "D208"}


@pytest.mark.slow
def test_the_time_grows_with_the_number_of_blocks_and_not_with_its_square():
    def seconds(blocks):
        facts = gather_facts(read_graph(deep(blocks)), trained=False)
        rules = [all_rules()[code] for code in ("D202", "D205", "D208")]
        started = time.perf_counter()
        for rule in rules:
            list(rule.check(facts))
        return time.perf_counter() - started

    seconds(20)
    # Linear gives about 8; the square would give 64.
    assert min(seconds(400) for _ in range(3)) < 32 * min(seconds(50) for _ in range(3))
