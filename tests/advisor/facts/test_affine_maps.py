"""What layers do to channels, held against the layers."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.facts import gather_facts
from advisor.facts.affine_maps import AffineMap, affine_axis, affine_map, norm_affine_map
from advisor.graph import read_graph
from advisor.testing import randomize_weights
from keras_normpack import InstanceNormalization, LayerScale
from keras_normpack import LayerNormalization as FasterLayerNormalization

CHANNELS = 4


def facts_around(layer, shape=(5, 6, CHANNELS)):
    model = randomize_weights(keras.Sequential([keras.Input(shape), layer]))
    return model, gather_facts(read_graph(model))


MAPS = {
    "batch normalization": lambda: layers.BatchNormalization(epsilon=0.01),
    "without scale": lambda: layers.BatchNormalization(scale=False),
    "without center": lambda: layers.BatchNormalization(center=False),
    "along the height": lambda: layers.BatchNormalization(axis=1),
    "in time": lambda: layers.TimeDistributed(layers.BatchNormalization()),
    "layer scale": lambda: LayerScale(0.3),
    "layer scale along the width": lambda: LayerScale(0.3, axis=2),
    "one scale": lambda: layers.Rescaling(1 / 3, -0.5),
    "scales": lambda: layers.Rescaling([1.0, 2.0, 3.0, 4.0], 0.5),
    "offsets": lambda: layers.Rescaling(2.0, [1.0, 2.0, 3.0, 4.0]),
    "normalization": lambda: layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[0.0, 1.0, 2.0, 3.0]),
    "of one mean": lambda: layers.Normalization(axis=None, mean=3.0, variance=2.0),
    "inverted": lambda: layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[0.5, 1.0, 2.0, 3.0], invert=True),
}


@pytest.mark.parametrize("make", MAPS.values(), ids=MAPS)
def test_the_map_of_a_layer_is_what_it_does(make):
    model, facts = facts_around(make())
    (layer,) = (found for found in facts.layers.values() if found.kind != "input")
    found = affine_map(facts.graph, layer)
    x = np.random.default_rng(0).normal(size=(3, 5, 6, CHANNELS))
    shape = [1] * 4
    shape[affine_axis(facts.graph, layer)] = -1
    expected = x * found.scale.reshape(shape) + found.shift.reshape(shape)
    largest = np.max(np.abs(expected))
    np.testing.assert_allclose(model(x, training=False), expected, rtol=0, atol=1e-6 * largest)


class Halved(layers.BatchNormalization):
    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=training, mask=mask) / 2


class Sloppy(layers.BatchNormalization):
    """Other defaults, but the same computation."""

    def __init__(self, epsilon=0.1, **kwargs):
        super().__init__(epsilon=epsilon, **kwargs)


class LayerScaleOfOnesOwn(layers.Layer):
    def build(self, input_shape):
        self.gamma = self.add_weight(name="gamma", shape=(input_shape[-1],))

    def call(self, x):
        return x + self.gamma


LayerScaleOfOnesOwn.__name__ = "LayerScale"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Halved(),
        lambda: LayerScaleOfOnesOwn(),
        lambda: layers.LayerNormalization(),
        lambda: layers.Normalization(axis=1, mean=[1.0] * 5, variance=[2.0] * 5),
        lambda: layers.Normalization(axis=(2, 3), mean=np.ones((6, 4)), variance=np.ones((6, 4))),
        lambda: layers.Rescaling(np.ones((6, 4))),
        lambda: layers.Rescaling(float("inf")),
        lambda: layers.ReLU(),
    ],
)
def test_other_layers_have_none(make):
    _, facts = facts_around(make())
    (layer,) = (found for found in facts.layers.values() if found.kind != "input")
    assert affine_map(facts.graph, layer) is None


def test_a_subclass_with_other_defaults_computes_the_same():
    _, facts = facts_around(Sloppy(name="norm"))
    assert affine_map(facts.graph, facts["norm"]) is not None


@pytest.mark.parametrize(
    "make",
    [
        layers.LayerNormalization,
        FasterLayerNormalization,
        lambda **arguments: layers.GroupNormalization(2, **arguments),
        lambda **arguments: layers.GroupNormalization(5, axis=1, **arguments),
        lambda **arguments: InstanceNormalization(**arguments),
    ],
)
@pytest.mark.parametrize("arguments", [{}, {"center": False}, {"scale": False}])
def test_normalizations_end_with_their_map(make, arguments):
    model, facts = facts_around(make(name="norm", **arguments))
    bare = make(center=False, scale=False)
    found = norm_affine_map(facts.graph, facts["norm"])
    x = np.random.default_rng(1).normal(size=(3, 5, 6, CHANNELS))
    shape = [1] * 4
    shape[affine_axis(facts.graph, facts["norm"])] = -1
    expected = np.asarray(bare(x)) * found.scale.reshape(shape) + found.shift.reshape(shape)
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.LayerNormalization(center=False, scale=False, name="norm"),
        lambda: layers.LayerNormalization(axis=1, name="norm"),
        lambda: layers.LayerNormalization(axis=[2, 3], name="norm"),
        lambda: layers.BatchNormalization(name="norm"),
        lambda: layers.UnitNormalization(name="norm"),
    ],
)
def test_others_end_with_none_along_the_channels(make):
    _, facts = facts_around(make())
    assert norm_affine_map(facts.graph, facts["norm"]) is None


def test_one_map_after_another():
    first, second = AffineMap(np.array([2.0]), np.array([1.0])), AffineMap(np.array([-3.0]), np.array([0.5]))
    both = second.after(first)
    assert both.scale * 7.0 + both.shift == -3.0 * (2.0 * 7.0 + 1.0) + 0.5
