"""Long models fold by name, by connection, by repetition, and nothing is lost in a fold."""

import keras
import pytest
from keras import layers

from advisor.graph import read_graph
from advisor.report.html.blocks import MOST_ITEMS, folded
from advisor.report.html.comparison import draw_model
from advisor.report.html.model_drawing import INPUT, OUTPUT, Group, Side
from tests.advisor.report.html.conftest import residual


def drawing_of(model):
    return draw_model(read_graph(model))


def groups_in(group):
    for item in group.items:
        if isinstance(item, Group):
            yield item
            yield from groups_in(item)


def u_net(depth=3):
    def twice(x, filters):
        for _ in range(2):
            x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x)))
        return x

    image = x = keras.Input((32, 32, 3))
    skips = []
    for _ in range(depth):
        x = twice(x, 4)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = twice(x, 4)
    for skip in reversed(skips):
        x = twice(layers.Concatenate()([skip, layers.Conv2DTranspose(4, 2, 2)(x)]), 4)
    return keras.Model(image, layers.Conv2D(1, 1)(x))


def long_chain():
    stack = [layers.Dense(4), layers.BatchNormalization(), layers.ReLU()]
    return keras.Sequential([keras.Input((4,)), *(type(layer).from_config(layer.get_config() | {"name": None})
                            for _ in range(15) for layer in stack)])  # fmt: skip


def alike_in_nothing():
    return keras.Sequential([keras.Input((4,)), *(layers.Dense(4, name=f"{chr(97 + n % 26)}{n}x") for n in range(60))])


@pytest.mark.parametrize("build", [lambda: residual(12), u_net, long_chain, alike_in_nothing],
                         ids=["residual", "u-net", "chain", "chain without a pattern"])  # fmt: skip
def test_no_level_holds_more_than_can_be_read_and_nothing_is_lost(build):
    drawing = drawing_of(build())
    short = folded(drawing)
    assert len(drawing.root.items) > MOST_ITEMS
    assert sorted(box.key for box in short.root.boxes()) == sorted(box.key for box in drawing.root.boxes())
    for group in (short.root, *groups_in(short.root)):
        assert len(group.items) <= MOST_ITEMS
        place = {item.key: number for number, item in enumerate(group.items)} | {INPUT: -1, OUTPUT: len(group.items)}
        assert all(place[edge.source] < place[edge.target] for edge in group.edges)


def test_edges_between_groups_are_those_between_their_layers():
    drawing = drawing_of(residual(12))
    short = folded(drawing).root
    owner = {box.key: item.key for item in short.items for box in item.boxes()}
    wanted = {(owner[e.source], owner[e.target]) for e in drawing.root.edges if owner[e.source] != owner[e.target]}
    assert {(edge.source, edge.target) for edge in short.edges} == wanted


def test_residual_blocks_without_names_fold_by_their_connections():
    blocks = [item for item in folded(drawing_of(residual(12))).root.items if isinstance(item, Group)]
    assert [block.layers(Side.BEFORE) for block in blocks if "conv2d" in block.title] == [7] * 12


def test_a_short_model_stays_as_it_is():
    drawing = drawing_of(residual(2))
    assert folded(drawing) == drawing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("EfficientNetB0", ["stem", "block1a", "block2a", "block7a", "top"]),
        ("DenseNet121", ["conv2", "pool2", "conv3", "conv4", "conv5"]),
        ("ResNet50", ["conv1", "conv2_block1", "conv4_block6", "conv5_block3"]),
        ("MobileNetV2", ["expanded_conv", "block_1", "block_16"]),
        ("InceptionV3", []),
        ("Xception", ["block1", "block2", "block14"]),
    ],
)
def test_models_of_keras_fold_by_their_blocks(name, titles):
    short = folded(drawing_of(getattr(keras.applications, name)(weights=None))).root
    assert set(titles) <= {item.title for item in short.items if isinstance(item, Group)}
    assert len(short.items) <= 1.25 * MOST_ITEMS
    assert all(len(group.items) <= 1.25 * MOST_ITEMS for group in groups_in(short))
