import keras
import numpy as np
import pytest
from keras import layers

from advisor.facts import gather_facts
from advisor.facts.affine_maps import AffineMap
from advisor.facts.commuting import Condition
from advisor.facts.folding import linear_layers_after, linear_layers_before, plain_weights, unmet
from advisor.graph import read_graph
from keras_normpack import WeightNormalization, WeightStandardization


def before(model: keras.Model, path: str = "bn", gone=()):
    return linear_layers_before(gather_facts(read_graph(model)), path, gone)


def after(model: keras.Model, path: str = "bn", gone=()):
    return linear_layers_after(gather_facts(read_graph(model)), path, gone)


def taking(folding):
    return [taker.path for taker in folding.takers]


def stack(*steps, shape=(8, 8, 4)) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *steps])


def norm(**arguments) -> keras.layers.Layer:
    return layers.BatchNormalization(name="bn", **arguments)


LINEAR = [
    lambda: layers.Conv2D(4, 3, name="linear"),
    lambda: layers.Conv2D(4, 3, groups=2, name="linear"),
    lambda: layers.Conv2DTranspose(4, 3, name="linear"),
    lambda: layers.SeparableConv2D(4, 3, name="linear"),
    lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, name="linear"),
    lambda: layers.Dense(4, name="linear"),
    lambda: layers.TimeDistributed(layers.Dense(4), name="linear"),
]


@pytest.mark.parametrize("make", LINEAR)
def test_a_linear_layer_takes_up_the_norm_beside_it(make):
    found = before(stack(make(), norm(), layers.ReLU()))
    assert (taking(found), found.is_direct, found.conditions, found.reason) == (["linear"], True, frozenset(), None)
    found = after(stack(layers.ReLU(), norm(), make()))
    assert (taking(found), found.is_direct, found.reason) == (["linear"], True, None)


@pytest.mark.parametrize("wrap", [WeightNormalization, WeightStandardization, layers.SpectralNormalization])
def test_a_kernel_that_a_wrapper_computes_has_to_be_baked_first(wrap):
    model = stack(wrap(layers.Conv2D(4, 3), name="linear"), norm())
    assert [(taker.path, taker.is_baked) for taker in before(model).takers] == [("linear", False)]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((layers.Conv2D(4, 3, activation="relu"), norm()), "it stands after an activation"),
        ((layers.Conv2D(4, 3), layers.ReLU(), norm()), "it stands after an activation"),
        ((layers.MaxPooling2D(), norm()), "it does not follow a convolution or dense layer"),
        ((norm(),), "it does not follow a convolution or dense layer"),
        ((layers.Conv2D(4, 3), layers.Permute((2, 1, 3)), norm()), "it does not follow a convolution or dense layer"),
        ((layers.Conv2D(4, 3), norm(axis=1)), "axis 1"),
        ((layers.EinsumDense("abcd,de->abce", (None, None, 4)), norm()), "its own way"),
        ((layers.Conv2D(4, 3), layers.Flatten(), norm()), "it does not follow a convolution or dense layer"),
    ],
)
def test_what_stands_before_decides(steps, reason):
    found = before(stack(*steps))
    assert not found.takers
    assert reason in found.reason


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((norm(), layers.ReLU(), layers.Conv2D(4, 3)), "an activation follows it"),
        ((norm(),), "its output leaves the model"),
        ((norm(), layers.AveragePooling2D(2)), "its output leaves the model"),
        ((norm(), layers.LayerNormalization()), "what reads it is not only convolutions and dense layers"),
        ((norm(axis=1), layers.Conv2D(4, 3)), "axis 1"),
        ((norm(), layers.EinsumDense("abcd,de->abce", (None, None, 4))), "its own way"),
    ],
)
def test_what_stands_after_decides(steps, reason):
    found = after(stack(*steps))
    assert not found.takers
    assert reason in found.reason


@pytest.mark.parametrize(
    ("linear", "pads"),
    [
        (layers.Conv2D(4, 3), False),
        (layers.Conv2D(4, 3, padding="same"), True),
        (layers.Conv2D(4, 1, strides=2, padding="same"), False),
        (layers.Conv2D(4, (1, 3), padding="same"), True),
        (layers.DepthwiseConv2D(3, padding="same"), True),
        (layers.SeparableConv2D(4, 3), False),
        (layers.Conv2DTranspose(4, 3), True),
        (layers.Conv2DTranspose(4, 1), False),
        (layers.Conv2DTranspose(4, 1, strides=2), True),
        (layers.Dense(4), False),
    ],
)
def test_padding_by_the_layer_after_needs_a_shift_of_zero(linear, pads):
    assert after(stack(norm(), linear)).conditions == ({Condition.NO_SHIFT} if pads else set())


def test_padding_of_the_layer_before_needs_nothing():
    assert before(stack(layers.Conv2D(4, 3, padding="same"), norm())).conditions == frozenset()


def test_conditions_add_up_along_the_way():
    way = [layers.ZeroPadding2D(), layers.Dropout(0.1), layers.MaxPooling2D(), layers.AveragePooling2D(2)]
    found = before(stack(layers.Conv2D(4, 3, name="conv"), *way, norm()))
    assert (taking(found), found.is_direct) == (["conv"], False)
    assert found.conditions == set(Condition)
    way = [layers.ZeroPadding2D(), layers.Dropout(0.1), layers.MaxPooling2D(), layers.AveragePooling2D(2)]
    assert after(stack(norm(), *way, layers.Conv2D(4, 2))).conditions == set(Condition)


def test_which_numbers_fulfil_a_condition():
    one, zero = np.ones(2), np.zeros(2)
    assert unmet(set(Condition), AffineMap(one, zero)) == []
    assert unmet(set(Condition), AffineMap(np.array([0.0, 1.0]), zero)) == []
    assert unmet(set(Condition), AffineMap(-one, one)) == [Condition.NO_SHIFT, Condition.NO_NEGATIVE_SCALE]
    assert unmet({Condition.NO_SHIFT}, AffineMap(-one, zero)) == []


def test_reshapes_say_which_channel_is_which():
    (taker,) = after(stack(norm(), layers.Flatten(), layers.Dense(2), shape=(2, 3))).takers
    np.testing.assert_array_equal(taker.channels, [0, 1, 2, 0, 1, 2])
    (taker,) = before(stack(layers.Dense(6), layers.Reshape((2, 3)), norm(), shape=(5,))).takers
    np.testing.assert_array_equal(taker.channels, [0, 1, 2, 0, 1, 2])


def test_concatenated_layers_take_up_their_parts():
    inputs = keras.Input((8, 8, 4))
    parts = [layers.Conv2D(filters, 3, name=f"conv_{filters}")(inputs) for filters in (2, 3)]
    joined = layers.Concatenate()([parts[0], layers.AveragePooling2D(1)(parts[1])])
    found = before(keras.Model(inputs, norm()(joined)))
    channels = {taker.path: list(taker.channels) for taker in found.takers}
    assert channels == {"conv_2": [0, 1], "conv_3": [2, 3, 4]}
    parts = [layers.Conv2D(3, 3)(inputs) for _ in range(2)]
    assert not before(keras.Model(inputs, norm()(layers.Concatenate(axis=1)(parts)))).takers
    part = layers.Conv2D(3, 3)(inputs)
    assert not before(keras.Model(inputs, norm()(layers.Concatenate()([part, part])))).takers
    assert not before(keras.Model(inputs, norm()(layers.Concatenate()([part, layers.ReLU()(part)])))).takers


def test_a_second_reader_of_the_convolution_forbids_folding():
    inputs = keras.Input((8, 8, 4))
    conv = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    for outputs in (layers.Add()([norm()(conv), conv]), [norm()(conv), conv]):
        assert before(keras.Model(inputs, outputs)).reason == "the layer before it is read by others too"
    pooled = layers.AveragePooling2D(2)(layers.Conv2D(4, 3)(inputs))
    assert before(keras.Model(inputs, [norm()(pooled), pooled])).reason == "the layer before it is read by others too"


def test_all_readers_must_take_it_up():
    inputs = keras.Input((8, 8, 4))
    normed = norm()(inputs)
    first, second = layers.Conv2D(4, 3, name="first"), layers.Conv2D(4, 1, name="second")
    pooled = layers.AveragePooling2D(2)(normed)
    assert taking(after(keras.Model(inputs, [first(normed), second(pooled)]))) == ["first", "second"]
    assert not after(keras.Model(inputs, [first(normed), layers.ReLU()(normed)])).takers
    assert not after(keras.Model(inputs, [first(normed), normed])).takers
    assert not after(keras.Model(inputs, [first(normed), pooled])).takers
    assert not after(keras.Model(inputs, layers.Add()([first(normed), first(inputs)]))).takers


def test_shared_pairs_fold_and_shared_halves_do_not():
    one, two = keras.Input((8, 8, 4)), keras.Input((8, 8, 4))
    conv, bn = layers.Conv2D(4, 3, name="conv"), norm()
    assert taking(before(keras.Model([one, two], [bn(conv(one)), bn(conv(two))]))) == ["conv"]
    conv, other, bn = layers.Conv2D(4, 3, name="conv"), layers.Conv2D(4, 3, name="other"), norm()
    assert sorted(taking(before(keras.Model([one, two], [bn(conv(one)), bn(other(two))])))) == ["conv", "other"]
    conv, bn = layers.Conv2D(4, 3, name="conv"), norm()
    assert "called elsewhere" in before(keras.Model([one, two], [bn(conv(one)), conv(two)])).reason
    conv, bn = layers.Conv2D(4, 3, name="conv"), norm()
    assert not before(keras.Model([one, two], [bn(conv(one)), bn(two)])).takers
    conv, bn = layers.Conv2D(4, 3, name="conv"), norm()
    assert taking(after(keras.Model([one, two], [conv(bn(one)), conv(bn(two))]))) == ["conv"]
    conv, bn = layers.Conv2D(4, 3, name="conv"), norm()
    assert "called elsewhere" in after(keras.Model([one, two], [conv(bn(one)), conv(two)])).reason


def test_a_norm_kept_in_training_mode_does_not_fold():
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, norm()(layers.Conv2D(4, 3)(inputs), training=True))
    assert "training=True" in before(model).reason


def test_a_pair_split_by_the_border_of_a_nested_model_folds():
    inputs = keras.Input((8, 8, 4))
    backbone = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, name="conv")], name="backbone")
    assert taking(before(keras.Model(inputs, norm()(backbone(inputs))))) == ["backbone/conv"]
    head = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, name="conv")], name="head")
    assert taking(after(keras.Model(inputs, head(norm()(inputs))))) == ["head/conv"]


def test_a_shared_model_with_several_readers_or_inputs():
    one, two = keras.Input((8, 8, 4)), keras.Input((8, 8, 4))
    conv = layers.Conv2D(4, 3, name="conv")
    body = keras.Sequential([keras.Input((8, 8, 4)), conv], name="body")
    bn = norm()
    assert taking(before(keras.Model([one, two], [bn(body(one)), bn(body(two))]))) == ["body/conv"]
    assert not before(keras.Model([one, two], [norm()(body(one)), body(two)])).takers
    assert not after(keras.Model([one, two], [body(norm()(one)), body(two)])).takers
    head = keras.Sequential([keras.Input((8, 8, 4)), norm()], name="head")
    first, second = (layers.Conv2D(4, 3, padding="same", name=name) for name in ("first", "second"))
    model = keras.Model([one, two], [head(first(one)), head(second(two))])
    assert sorted(taking(before(model, "head/bn"))) == ["first", "second"]
    model = keras.Model([one, two], [head(first(one)), head(layers.ReLU()(second(two)))])
    assert not before(model, "head/bn").takers


def test_what_python_code_may_read_counts_as_read():
    class Caller(keras.Model):
        def __init__(self, inner):
            super().__init__(name="caller")
            self.inner = inner

        def call(self, x):
            normed, plain = self.inner(x)
            return normed + plain if float(keras.ops.sum(x)) > 0 else normed

    def called(outputs):
        model = Caller(keras.Model(inputs, outputs, name="inner"))
        model(np.ones((1, 8, 8, 4)))
        return model

    inputs = keras.Input((8, 8, 4))
    conv = layers.Conv2D(4, 1, name="conv")(inputs)
    assert before(called([norm()(conv), conv]), "inner/bn").reason == "the layer before it is read by others too"
    assert taking(before(called([norm()(conv), inputs]), "inner/bn")) == ["inner/conv"]
    normed = norm()(inputs)
    dense = layers.Dense(4, name="dense")
    assert after(called([dense(normed), normed]), "inner/bn").reason == "its output leaves the model"
    assert taking(after(called([dense(normed), inputs]), "inner/bn")) == ["inner/dense"]


def test_maps_that_go_first_are_looked_through():
    model = stack(layers.Dense(4, name="dense"), layers.BatchNormalization(name="first"), norm())
    assert not before(model).takers
    assert taking(before(model, gone={"first"})) == ["dense"]


@pytest.mark.parametrize("adapt", [lambda layer: layer.enable_lora(2), lambda layer: layer.quantize("int8")])
def test_a_layer_that_computes_with_more_than_its_kernel_takes_up_nothing(adapt):
    dense = layers.Dense(4, name="linear")
    model = stack(dense, norm(), shape=(6,))
    adapt(dense)
    assert before(model).reason == "the layer before it computes its weights in its own way"
    facts = gather_facts(read_graph(model))
    assert plain_weights(facts, facts["linear"]) is None


def test_the_weights_of_a_plain_layer():
    facts = gather_facts(read_graph(stack(layers.SeparableConv2D(5, 3, name="linear", bias_initializer="ones"))))
    kernels, bias = plain_weights(facts, facts["linear"])
    assert [kernel.shape for kernel in kernels] == [(3, 3, 4, 1), (1, 1, 4, 5)]
    np.testing.assert_array_equal(bias, np.ones(5))
