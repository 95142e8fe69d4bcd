import keras
import pytest
from keras import layers

from advisor.facts import gather_facts
from advisor.facts.folding import foldable_into
from advisor.graph import read_graph


def folding(model: keras.Model, path: str = "bn"):
    return foldable_into(gather_facts(read_graph(model)), path)


def stack(*steps, shape=(8, 8, 4)) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *steps])


def norm(**arguments) -> keras.layers.Layer:
    return layers.BatchNormalization(name="bn", **arguments)


@pytest.mark.parametrize(
    "linear",
    [
        layers.Conv2D(4, 3, name="linear"),
        layers.Conv2D(4, 3, groups=2, name="linear"),
        layers.Conv2DTranspose(4, 3, name="linear"),
        layers.SeparableConv2D(4, 3, name="linear"),
        layers.DepthwiseConv2D(3, depth_multiplier=2, name="linear"),
        layers.Dense(4, name="linear"),
        layers.TimeDistributed(layers.Dense(4), name="linear"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_linear_layer_takes_up_the_norm_after_it(linear):
    assert folding(stack(linear, norm(), layers.ReLU())) == ("linear", None)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((layers.Conv2D(4, 3, activation="relu"), norm()), "after an activation"),
        ((layers.Conv2D(4, 3), layers.ReLU(), norm()), "after an activation"),
        ((layers.MaxPooling2D(), norm()), "directly"),
        ((norm(),), "directly"),
        ((layers.Conv2D(4, 3), norm(axis=1)), "axis 1"),
        ((layers.SpectralNormalization(layers.Conv2D(4, 3)), norm()), "its own way"),
        ((layers.EinsumDense("abcd,de->abce", (None, None, 4)), norm()), "its own way"),
    ],
)
def test_what_stands_before_decides(steps, reason):
    linear, found = folding(stack(*steps))
    assert linear is None
    assert reason in found


def test_a_second_reader_of_the_convolution_forbids_folding():
    inputs = keras.Input((8, 8, 4))
    conv = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    model = keras.Model(inputs, layers.Add()([norm()(conv), conv]))
    assert folding(model) == (None, "the layer before it is read by others too")
    model = keras.Model(inputs, [norm()(conv), conv])
    assert folding(model) == (None, "the layer before it is read by others too")


def test_shared_pairs_fold_and_shared_halves_do_not():
    first, second = keras.Input((8, 8, 4)), keras.Input((8, 8, 4))
    conv, other, bn = layers.Conv2D(4, 3, name="conv"), layers.Conv2D(4, 3, name="other"), norm()
    assert folding(keras.Model([first, second], [bn(conv(first)), bn(conv(second))])) == ("conv", None)
    conv, bn = layers.Conv2D(4, 3, name="conv"), norm()
    model = keras.Model([first, second], [bn(conv(first)), bn(other(second))])
    assert folding(model) == (None, "it is shared between several layers")
    conv, bn = layers.Conv2D(4, 3, name="conv"), norm()
    model = keras.Model([first, second], [bn(conv(first)), conv(second)])
    assert folding(model)[0] is None


def test_a_norm_kept_in_training_mode_does_not_fold():
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, norm()(layers.Conv2D(4, 3)(inputs), training=True))
    assert "training=True" in folding(model)[1]


def test_a_pair_split_by_the_border_of_a_nested_model_folds():
    inputs = keras.Input((8, 8, 4))
    backbone = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, name="conv")], name="backbone")
    assert folding(keras.Model(inputs, norm()(backbone(inputs)))) == ("backbone/conv", None)


@pytest.mark.parametrize("adapt", [lambda layer: layer.enable_lora(2), lambda layer: layer.quantize("int8")])
def test_a_layer_that_computes_with_more_than_its_kernel_takes_up_nothing(adapt):
    dense = layers.Dense(4, name="linear")
    model = stack(dense, norm(), shape=(6,))
    adapt(dense)
    assert folding(model) == (None, "the layer before it computes its weights in its own way")
