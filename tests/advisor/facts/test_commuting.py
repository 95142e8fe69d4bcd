"""A map before a layer and its passage behind it compute the same, in Keras."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.facts import gather_facts
from advisor.facts.commuting import Condition, only_trains, passage_to_input, passage_to_output
from advisor.graph import read_graph
from keras_normpack import MonteCarloDropout

IMAGE, SERIES, VOLUME, VECTOR = (4, 6, 3), (6, 3), (4, 4, 4, 3), (12,)

# Layer, input shape, axis of the channels before it and behind it.
PASSED = {
    "identity": (layers.Identity, IMAGE, 3, 3),
    "identity along another axis": (layers.Identity, IMAGE, 1, 1),
    "no activation": (lambda: layers.Activation("linear"), IMAGE, 3, 3),
    "dropout": (lambda: layers.SpatialDropout2D(0.5), IMAGE, 1, 1),
    "noise": (lambda: layers.GaussianNoise(0.5), IMAGE, 3, 3),
    "average pooling": (lambda: layers.AveragePooling2D(2), IMAGE, 3, 3),
    "average pooling beyond the border": (lambda: layers.AveragePooling2D(3, padding="same"), IMAGE, 3, 3),
    "average pooling 1d": (lambda: layers.AveragePooling1D(2), SERIES, 2, 2),
    "average pooling 3d": (lambda: layers.AveragePooling3D(2), VOLUME, 4, 4),
    "adaptive pooling": (lambda: layers.AdaptiveAveragePooling2D(3), IMAGE, 3, 3),
    "maximum pooling": (lambda: layers.MaxPooling2D(3, padding="same"), IMAGE, 3, 3),
    "maximum pooling 1d": (lambda: layers.MaxPooling1D(2), SERIES, 2, 2),
    "global average": (layers.GlobalAveragePooling2D, IMAGE, 3, 1),
    "global average, axes kept": (lambda: layers.GlobalAveragePooling2D(keepdims=True), IMAGE, 3, 3),
    "global average, channels first": (
        lambda: layers.GlobalAveragePooling2D(data_format="channels_first"),
        IMAGE,
        1,
        1,
    ),
    "global maximum": (layers.GlobalMaxPooling1D, SERIES, 2, 1),
    "nearest": (lambda: layers.UpSampling2D(2), IMAGE, 3, 3),
    "bilinear": (lambda: layers.UpSampling2D((2, 3), interpolation="bilinear"), IMAGE, 3, 3),
    "cropping": (lambda: layers.Cropping2D(((1, 0), (0, 2))), IMAGE, 3, 3),
    "padding": (lambda: layers.ZeroPadding2D(2), IMAGE, 3, 3),
    "padding, channels first": (lambda: layers.ZeroPadding2D(2, data_format="channels_first"), IMAGE, 1, 1),
    "pooling of frames": (lambda: layers.TimeDistributed(layers.AveragePooling2D(2)), VOLUME, 4, 4),
    "flattening": (layers.Flatten, IMAGE, 3, 1),
    "flattening, channels first": (lambda: layers.Flatten(data_format="channels_first"), IMAGE, 1, 1),
    "positions in a row": (lambda: layers.Reshape((24, 3)), IMAGE, 3, 2),
    "two positions in one": (lambda: layers.Reshape((2, 6, 6)), IMAGE, 3, 3),
}
TO_INPUT_ONLY = {"a vector made an image": (lambda: layers.Reshape((2, 2, 3)), VECTOR, 1, 3)}
TO_OUTPUT_ONLY = {"flattening", "flattening, channels first", "two positions in one"}


def layer_between(make, shape):
    layer = make()
    model = keras.Sequential([keras.Input(shape), layer])
    facts = gather_facts(read_graph(model))
    return layer, facts[layer.name]


def numbers(count, conditions, seed):
    generator = np.random.default_rng(seed)
    scale, shift = generator.normal(size=count), generator.normal(size=count)
    if Condition.NO_NEGATIVE_SCALE in conditions:
        scale = np.abs(scale)
    return scale, np.zeros(count) if Condition.NO_SHIFT in conditions else shift


def mapped(x, axis, scale, shift):
    shape = [1] * x.ndim
    shape[axis] = -1
    return x * scale.reshape(shape) + shift.reshape(shape)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("case", PASSED)
def test_a_map_gets_past_to_the_output(case, seed):
    make, shape, axis_in, axis_out = PASSED[case]
    layer, facts = layer_between(make, shape)
    channels = np.arange((None, *shape)[axis_in])
    passage = passage_to_output(facts, axis_in, channels)
    assert passage.axis == axis_out
    scale, shift = numbers(len(channels), passage.conditions, seed)
    assert _apart(layer, shape, (axis_in, channels), (axis_out, passage.channels), scale, shift) < 1e-6


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("case", [case for case in PASSED | TO_INPUT_ONLY if case not in TO_OUTPUT_ONLY])
def test_a_map_gets_past_to_the_input(case, seed):
    make, shape, axis_in, axis_out = (PASSED | TO_INPUT_ONLY)[case]
    layer, facts = layer_between(make, shape)
    channels = np.arange(layer.output.shape[axis_out])
    passage = passage_to_input(facts, axis_out, channels)
    assert passage.axis == axis_in
    scale, shift = numbers(len(channels), passage.conditions, seed)
    assert _apart(layer, shape, (axis_in, passage.channels), (axis_out, channels), scale, shift) < 1e-6


def _apart(layer, shape, before, behind, scale, shift):
    x = np.random.default_rng(7).normal(size=(2, *shape))
    (axis_in, channels_in), (axis_out, channels_out) = before, behind
    first = np.asarray(layer(mapped(x, axis_in, scale[channels_in], shift[channels_in]), training=False))
    last = mapped(np.asarray(layer(x, training=False)), axis_out, scale[channels_out], shift[channels_out])
    return np.max(np.abs(first - last))


@pytest.mark.parametrize("case", [name for name in PASSED if "padding" in name or "maximum" in name])
def test_the_conditions_are_needed(case):
    make, shape, axis_in, axis_out = PASSED[case]
    layer, facts = layer_between(make, shape)
    channels = np.arange((None, *shape)[axis_in])
    assert passage_to_output(facts, axis_in, channels).conditions
    scale, shift = np.full(len(channels), -1.0), np.full(len(channels), 1.0)
    assert _apart(layer, shape, (axis_in, channels), (axis_out, channels), scale, shift) > 0.1


NOT_PASSED = {
    "relu": (layers.ReLU, IMAGE, 3),
    "permuted": (lambda: layers.Permute((2, 1, 3)), IMAGE, 3),
    "pooled along the axis": (lambda: layers.AveragePooling2D(2), IMAGE, 1),
    "padded along the axis": (lambda: layers.ZeroPadding2D(1), IMAGE, 2),
    "averaged over the axis": (layers.GlobalAveragePooling2D, IMAGE, 1),
    "flattened with another axis last": (layers.Flatten, IMAGE, 1),
    "channels torn apart": (lambda: layers.Reshape((36, 2)), IMAGE, 3),
    "weights that sum to more or less": (lambda: layers.UpSampling2D(2, interpolation="bicubic"), IMAGE, 3),
    "resized": (lambda: layers.Resizing(3, 3), IMAGE, 3),
    "flattened frames": (lambda: layers.TimeDistributed(layers.Flatten()), IMAGE, 3),
    "dropout that stays": (lambda: MonteCarloDropout(0.5), IMAGE, 3),
}


@pytest.mark.parametrize("case", NOT_PASSED)
def test_a_map_does_not_get_past(case):
    make, shape, axis = NOT_PASSED[case]
    layer, facts = layer_between(make, shape)
    assert passage_to_output(facts, axis, np.arange((None, *shape)[axis])) is None
    if layer.output.shape[1:] == shape:
        assert passage_to_input(facts, axis, np.arange((None, *shape)[axis])) is None


def test_a_mean_over_what_a_mask_leaves_is_left_alone():
    model = keras.Sequential([keras.Input(SERIES), layers.Masking(), layers.GlobalAveragePooling1D(name="mean")])
    assert passage_to_output(gather_facts(read_graph(model))["mean"], 2, np.arange(3)) is None


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: layers.Dropout(0.5), True),
        (lambda: layers.RandomFlip(), True),
        (lambda: layers.RandomCrop(2, 2), False),
        (lambda: MonteCarloDropout(0.5), False),
        (lambda: layers.ReLU(), False),
    ],
)
def test_layers_that_only_train(make, expected):
    _, facts = layer_between(make, IMAGE)
    assert only_trains(facts) is expected
