"""Kinds of layers, Keras's own, ours and the user's."""

import keras
import pytest
from keras import layers

import keras_normpack
from advisor.facts import Kind, kind_of, register_layer_kind
from advisor.facts.kinds import core_layer


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (layers.SeparableConv2D(1, 1), "conv"),
        (layers.DepthwiseConv1D(1), "depthwise"),
        (layers.EinsumDense("ab,bc->ac", 3), "dense"),
        (layers.GRU(1), "recurrent"),
        (layers.MultiHeadAttention(1, 1), "attention"),
        (layers.Embedding(2, 1), "embedding"),
        (layers.GroupNormalization(), "norm"),
        (layers.SpatialDropout2D(0.1), "dropout"),
        (layers.LeakyReLU(), "activation"),
        (layers.GlobalMaxPooling2D(), "pooling"),
        (layers.Concatenate(), "merge"),
        (layers.Flatten(), "reshape"),
        (layers.RandomFlip(), "augmentation"),
        (layers.Rescaling(1.0), "preprocessing"),
        (layers.Lambda(lambda x: x), "other"),
        (keras_normpack.InstanceNormalization(), "norm"),
        (keras_normpack.BatchNormalization(), "norm"),
        (keras_normpack.DropPath(0.1), "dropout"),
        (keras_normpack.DropBlock2D(0.1, 3), "dropout"),
        (keras_normpack.MonteCarloDropout(0.1), "dropout"),
        (keras_normpack.SpecAugment(), "augmentation"),
        (keras_normpack.TLU(), "activation"),
        (keras_normpack.StochasticDepth(), "merge"),
        (keras_normpack.LayerNormLSTM(2), "recurrent"),
        (keras_normpack.WeightStandardization(layers.Conv2D(1, 1)), "conv"),
        (keras_normpack.ConditionalNormalization(layers.GroupNormalization()), "norm"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_kinds_of_layers(layer, kind):
    assert kind_of(layer) == kind


def test_every_layer_of_the_pack_has_a_kind():
    classes = [getattr(keras_normpack.layers, name) for name in keras_normpack.layers.__all__]
    plain = [cls for cls in classes if not issubclass(cls, layers.Wrapper) and not cls.__name__.endswith("Cell")]
    without = [cls.__name__ for cls in plain if kind_of(cls.__new__(cls)) is Kind.OTHER]
    # A learned scale per channel is none of the kinds the rules speak of.
    assert without == ["LayerScale"]


def test_wrappers_are_looked_through():
    dense = layers.Dense(1)
    wrapped = layers.TimeDistributed(keras_normpack.WeightNormalization(dense))
    assert core_layer(wrapped) is dense
    assert kind_of(wrapped) is Kind.DENSE
    assert kind_of(layers.Bidirectional(layers.LSTM(1))) is Kind.RECURRENT


def test_operations_have_kinds():
    x = keras.Input((4,))
    model = keras.Model(x, keras.ops.concatenate([keras.ops.relu(x), keras.ops.reshape(x * 2, (-1, 4))]))
    kinds = {operation.name: kind_of(operation) for operation in model.operations}
    assert list(kinds.values()).count("merge") == 2
    assert kinds["relu"] is Kind.ACTIVATION
    assert kinds["reshape"] is Kind.RESHAPE


def test_a_registered_kind_holds_for_subclasses_until_they_have_their_own():
    class Mixer(layers.Layer):
        pass

    class Finer(Mixer):
        pass

    class Dense2(layers.Dense):
        pass

    assert kind_of(Mixer()) is Kind.OTHER
    assert kind_of(Dense2(1)) is Kind.DENSE
    register_layer_kind(Mixer, "merge")
    assert kind_of(Finer()) is Kind.MERGE
    register_layer_kind(Finer, Kind.NORM)
    assert (kind_of(Mixer()), kind_of(Finer())) == (Kind.MERGE, Kind.NORM)


def test_wrong_registrations_are_refused():
    with pytest.raises(TypeError, match="Received: 3"):
        register_layer_kind(3, "conv")
    with pytest.raises(ValueError, match="Received: 'convolution'"):
        register_layer_kind(layers.Dense, "convolution")
