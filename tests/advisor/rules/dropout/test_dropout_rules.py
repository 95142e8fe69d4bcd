"""The dropout rules together, on models beyond their own cases."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from advisor import advise
from advisor.rules.dropout.d206_dense_head_without_dropout import rate_for

RULES = ["D201", "D203", "D204", "D206"]


def findings(model, code, **arguments):
    return advise(model, select=code, verbose=0, trained=False, **arguments).findings


def mended(model, select=RULES, **arguments):
    rewritten = advise(model, select=select, verbose=0, trained=False, **arguments).apply()
    again = advise(rewritten, select=select, verbose=0, trained=False, **arguments)
    assert [finding.code for finding in again.findings if finding.fix] == []
    return rewritten


def chain(model):
    """Class names along a Sequential model, with the rates of dropouts."""
    return [f"{type(layer).__name__} {getattr(layer, 'rate', '')}".strip() for layer in model.layers]


def samples(count, shape=(8, 8, 3)):
    generator = np.random.default_rng(0)
    return generator.normal(size=(count, *shape)).astype("float32"), generator.integers(0, 2, count)


def vgg_like(*, block_rate, head):
    steps = []
    for filters in (4, 8, 8):
        steps += [layers.Conv2D(filters, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU()]
        steps += [layers.Dropout(block_rate)] if block_rate is not None else []
    return keras.Sequential([keras.Input((8, 8, 3)), *steps, layers.GlobalAveragePooling2D(), *head])


@pytest.mark.parametrize(("mean", "rate"), [(0.0, 0.5), (1.0, 0.25)])
def test_the_variance_shift_is_what_the_rule_says(mean, rate):
    values = np.random.default_rng(0).normal(mean, 1.0, size=(200_000, 1)).astype("float32")
    norm = layers.BatchNormalization(momentum=0.0)
    norm(layers.Dropout(rate, seed=1)(values, training=True), training=True)
    shifted = (1.0 + mean**2) / (1 - rate) - mean**2
    np.testing.assert_allclose(norm.moving_variance[0], shifted, rtol=0.02)
    assert shifted > 1.3  # while at inference the variance is 1


def test_one_dropout_is_left_of_several():
    model = vgg_like(block_rate=0.25, head=[layers.Dense(2)])
    (finding,) = findings(model, "D201")
    # The dropout of the last block has no batch normalization after it: it stays, the other two go.
    assert len(finding.layers) == 2
    rewritten = mended(model)
    assert sum(name.startswith("Dropout") for name in chain(rewritten)) == 1
    assert chain(rewritten)[-3:] == ["Dropout 0.25", "GlobalAveragePooling2D", "Dense"]


def test_the_dropout_that_moves_keeps_its_name_and_the_nearest_rate():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(4, activation="relu"),
            layers.Dropout(0.1, name="first"),
            layers.Dense(4, activation="relu"),
            layers.Dropout(0.3, name="second"),
            layers.Dense(4, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dense(2, name="logits"),
        ]
    )
    rewritten = mended(model)
    assert chain(rewritten)[-2:] == ["Dropout 0.3", "Dense"]
    assert rewritten.layers[-2].name == "second"
    assert "first" not in [layer.name for layer in rewritten.layers]


def test_every_head_gets_its_dropout():
    inputs = keras.Input((6,))
    trunk = layers.Dropout(0.2)(layers.Dense(4, activation="relu")(inputs))
    trunk = layers.ReLU()(layers.BatchNormalization()(layers.Dense(4, use_bias=False)(trunk)))
    model = keras.Model(inputs, {"one": layers.Dense(2, name="one")(trunk), "two": layers.Dense(3, name="two")(trunk)})
    rewritten = mended(model)
    dropouts = [layer for layer in rewritten.layers if isinstance(layer, layers.Dropout)]
    assert [layer.rate for layer in dropouts] == [0.2, 0.2]
    assert set(rewritten(np.zeros((1, 6)))) == {"one", "two"}


def test_dropout_in_a_nested_backbone_moves_to_the_outer_head():
    backbone = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.SpatialDropout2D(0.2),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        ],
        name="backbone",
    )
    head = [layers.GlobalAveragePooling2D(), layers.Dense(2)]
    rewritten = mended(keras.Sequential([keras.Input((8, 8, 3)), backbone, *head]))
    assert "SpatialDropout2D 0.2" not in chain(rewritten.layers[0])
    assert chain(rewritten)[1:] == ["GlobalAveragePooling2D", "Dropout 0.2", "Dense"]


def test_a_frozen_batch_norm_is_not_shifted():
    model = vgg_like(block_rate=0.25, head=[layers.Dense(2)])
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    assert not findings(model, "D201")


def test_dropout_in_a_branch_without_batch_norm_is_left_alone():
    inputs = keras.Input((6,))
    normed = layers.BatchNormalization()(layers.Dense(4, use_bias=False)(inputs))
    dropped = layers.Dropout(0.3)(layers.Dense(4, activation="relu")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Concatenate()([normed, dropped])))
    assert not findings(model, "D201")


class Block(keras.layers.Layer):
    """Calls its layers in Python code, so nothing is known of their order."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.drop = layers.Dropout(0.0)
        self.norm = layers.BatchNormalization()

    def call(self, inputs):
        return self.norm(self.drop(inputs))


def test_inside_python_code_the_fix_is_refused_with_the_reason():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4), Block(name="block"), layers.Dense(2)])
    advice = advise(model, select="D203", verbose=0)
    (finding,) = advice.findings
    assert finding.layer.startswith("block/")
    (skipped,) = advice.rewrite().skipped
    assert "Python code" in skipped.reason


def test_shared_linear_head_gets_no_dropout_but_loses_it_after():
    first, second = keras.Input((6,)), keras.Input((6,))
    logits = layers.Dense(2, name="logits")
    hidden = [layers.Dense(4, activation="relu")(tensor) for tensor in (first, second)]
    model = keras.Model([first, second], [layers.Dropout(0.5)(logits(tensor)) for tensor in hidden])
    rewritten = mended(model)
    assert not [layer for layer in rewritten.layers if isinstance(layer, layers.Dropout)]


def test_two_dropouts_after_the_head_become_one_before_it():
    head = [layers.Dropout(0.3), layers.Softmax(), layers.Dropout(0.1)]
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu"), layers.Dense(2), *head])
    assert chain(mended(model)) == ["Dense", "Dropout 0.3", "Dense", "Softmax"]


def test_a_relu_output_that_no_loss_reads_is_taken_for_features():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu"), layers.Dropout(0.3)])
    assert not findings(model, "D204")
    model.compile("sgd", "mse")
    assert findings(model, "D204")


def test_all_rules_settle_together_on_a_messy_model():
    head = [
        layers.Dropout(0.0),
        layers.Dense(16, activation="relu"),
        layers.Dense(2),
        layers.Dropout(0.4),
        layers.Softmax(),
    ]
    model = vgg_like(block_rate=0.2, head=head)
    rewritten = mended(model, data=samples(32), batch_size=8)
    assert chain(rewritten)[-6:] == [
        "Dropout 0.2",
        "GlobalAveragePooling2D",
        "Dense",
        "Dropout 0.2",
        "Dense",
        "Softmax",
    ]


def test_a_head_with_rate_zero_counts_as_one_without_dropout():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.0),
            layers.Dense(2),
        ]
    )
    rewritten = mended(model, data=samples(64), batch_size=8)
    assert chain(rewritten) == ["Flatten", "Dense", "Dropout 0.3", "Dense"]


def test_frozen_dense_layers_do_not_count():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(8, activation="relu"), layers.Dense(2)]
    )
    model.layers[1].trainable = False
    assert not findings(model, "D206", data=samples(64), batch_size=8)


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-6, 1e12), st.floats(1.0, 1e6))
def test_the_rate_grows_with_the_ratio_within_its_bounds(ratio, factor):
    assert 0.2 <= rate_for(ratio) <= rate_for(ratio * factor) <= 0.5
