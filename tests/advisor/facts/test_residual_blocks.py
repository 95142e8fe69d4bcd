"""Residual blocks are found wherever they are, and nothing else is taken for one."""

import keras
import pytest
from keras import layers

import keras_normpack
from advisor.facts import gather_facts
from advisor.facts.residual_blocks import residual_blocks
from advisor.graph import read_graph
from advisor.graph.keras_internals import deferred_variables


def blocks(model):
    return list(residual_blocks(gather_facts(read_graph(model), trained=False)))


@pytest.mark.parametrize(
    ("name", "count", "with_something_on_the_shortcut", "first_end"),
    [
        ("ResNet50", 16, 4, "conv2_block1_3_bn"),
        # Four projections, and three times max pooling on the shortcut.
        ("ResNet50V2", 16, 7, "conv2_block1_3_conv"),
        ("MobileNetV2", 10, 0, "block_2_project_BN"),
        ("EfficientNetB0", 9, 0, "block2b_drop"),
        ("ConvNeXtTiny", 18, 0, "convnext_tiny_stage_0_block_0_identity"),
        ("Xception", 12, 4, "block2_pool"),
        ("InceptionResNetV2", 40, 0, "block35_1_conv"),
        ("DenseNet121", 0, 0, None),
        ("VGG16", 0, 0, None),
    ],
)
def test_blocks_of_applications(name, count, with_something_on_the_shortcut, first_end):
    with deferred_variables():
        model = getattr(keras.applications, name)(weights=None)
    found = blocks(model)
    assert len(found) == count
    assert sum(block.start != block.shortcut for block in found) == with_something_on_the_shortcut
    assert (found[0].end if found else None) == first_end


def transformer(depth):
    inputs = tokens = keras.Input((6, 8))
    for _ in range(depth):
        normed = layers.LayerNormalization()(tokens)
        tokens = layers.Add()([tokens, layers.MultiHeadAttention(2, 4)(normed, normed)])
        hidden = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(tokens))
        tokens = tokens + layers.Dense(8)(hidden)
    return keras.Model(inputs, tokens)


def test_a_pre_norm_transformer_has_two_blocks_per_layer():
    found = blocks(transformer(3))
    assert len(found) == 6
    assert all(block.start == block.shortcut for block in found)
    assert [layer.cls.__name__ for layer in found[0].branch] == ["LayerNormalization", "MultiHeadAttention"]


def test_cross_attention_reads_an_encoder_that_is_no_part_of_the_branch():
    tokens, source = keras.Input((6, 8), name="tokens"), keras.Input((4, 8), name="source")
    memory = layers.Dense(8, name="encoder")(source)
    attended = layers.MultiHeadAttention(2, 4, name="cross")(tokens, memory)
    (block,) = blocks(keras.Model([tokens, source], layers.Add(name="sum")([attended, tokens])))
    assert (block.start, block.end, block.merge.path) == ("tokens", "cross", "sum")
    assert [layer.path for layer in block.branch] == ["cross"]


def test_the_layer_that_skips_its_branch_is_an_addition():
    inputs = keras.Input((8,))
    outputs = keras_normpack.StochasticDepth(0.8, name="sum")([inputs, layers.Dense(8, name="branch")(inputs)])
    (block,) = blocks(keras.Model(inputs, outputs))
    assert (block.merge.path, block.end) == ("sum", "branch")


def test_a_block_around_a_nested_model():
    inputs = keras.Input((8,), name="inputs")
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(8, name="a"), layers.Dense(8, name="b")], name="inner")
    (block,) = blocks(keras.Model(inputs, layers.Add()([inputs, inner(inputs)])))
    assert [layer.path for layer in block.branch] == ["inner/a", "inner/b"]


def branches(first, second):
    inputs = keras.Input((8, 8, 4))
    return keras.Model(inputs, layers.Add()([first(inputs), second(inputs)]))


def conv(size):
    return layers.Conv2D(4, size, padding="same")


@pytest.mark.parametrize(
    "model",
    [
        # Two branches of equal weight: neither is a shortcut.
        lambda: branches(conv(3), conv(5)),
        # A shortcut with a wide convolution is a branch.
        lambda: branches(conv(3), lambda maps: conv(3)(conv(3)(maps))),
        # A branch without weights adds nothing that could be dropped.
        lambda: branches(lambda maps: maps, layers.ReLU()),
    ],
)
def test_sums_that_are_no_blocks(model):
    assert blocks(model()) == []


def test_two_inputs_added_are_no_block():
    first, second = keras.Input((8,)), keras.Input((8,))
    assert blocks(keras.Model([first, second], layers.Add()([first, layers.Dense(8)(second)]))) == []
