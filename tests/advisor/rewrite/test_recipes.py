"""Recipes, each usable without the advisor."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.graph.sampling import sample_inputs
from advisor.rewrite import (
    RewriteError,
    add_dropout,
    add_regularizer,
    fold_batch_norm,
    relative_difference,
    replace_norm,
    strip_training_layers,
)
from advisor.testing import randomize_weights
from keras_normpack import DropBlock2D, InstanceNormalization, MonteCarloDropout

FOLDED = {
    "conv": ((8, 8, 3), lambda: layers.Conv2D(6, 3)),
    "conv without bias": ((8, 8, 3), lambda: layers.Conv2D(6, 3, use_bias=False)),
    "grouped conv": ((8, 8, 4), lambda: layers.Conv2D(6, 3, groups=2)),
    "conv 1d": ((8, 3), lambda: layers.Conv1D(6, 3)),
    "conv 3d": ((5, 5, 5, 3), lambda: layers.Conv3D(4, 3)),
    "transposed": ((8, 8, 3), lambda: layers.Conv2DTranspose(6, 3, strides=2)),
    "depthwise": ((8, 8, 3), lambda: layers.DepthwiseConv2D(3)),
    "depthwise with multiplier": ((8, 8, 3), lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)),
    "separable": ((8, 8, 3), lambda: layers.SeparableConv2D(6, 3)),
    "dense": ((7,), lambda: layers.Dense(6)),
    "dense in time": ((5, 4), lambda: layers.TimeDistributed(layers.Dense(6))),
}


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("case", FOLDED)
def test_folding_is_exact(case, affine):
    shape, make = FOLDED[case]
    norm = layers.BatchNormalization(center=affine, scale=affine)
    model = randomize_weights(keras.Sequential([keras.Input(shape), make(), norm, layers.ReLU()]))
    folded = fold_batch_norm(model)
    assert not [layer for layer in folded.layers if isinstance(layer, layers.BatchNormalization)]
    assert relative_difference(model, folded, sample_inputs(model, batch_size=4)) < 1e-6


def test_a_norm_after_an_activation_stays():
    conv = layers.Conv2D(4, 3, activation="relu")
    model = randomize_weights(keras.Sequential([keras.Input((8, 8, 3)), conv, layers.BatchNormalization()]))
    folded = fold_batch_norm(model)
    assert isinstance(folded.layers[1], layers.BatchNormalization)
    assert relative_difference(model, folded, sample_inputs(model)) == 0.0


def test_a_shared_pair_folds_once():
    conv, norm = layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization()
    x = keras.Input((6, 6, 4))
    model = randomize_weights(keras.Model(x, norm(conv(norm(conv(x))))))
    folded = fold_batch_norm(model)
    assert len(folded.layers) == 2
    assert relative_difference(model, folded, sample_inputs(model)) < 1e-6


def test_a_convolution_read_by_two_keeps_its_norm():
    x = keras.Input((6, 6, 3))
    y = layers.Conv2D(4, 3)(x)
    model = randomize_weights(keras.Model(x, layers.Add()([layers.BatchNormalization()(y), y])))
    assert len(fold_batch_norm(model).layers) == len(model.layers)


def test_folding_reaches_into_nested_models():
    body = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()], name="body")
    model = randomize_weights(keras.Sequential([keras.Input((6, 6, 3)), body, layers.Flatten()]))
    folded = fold_batch_norm(model)
    assert len(folded.get_layer("body").layers) == 1
    assert relative_difference(model, folded, sample_inputs(model)) < 1e-6


def test_replacing_keeps_scale_and_shift():
    model = randomize_weights(_conv_net())
    replaced = replace_norm(model, layers.GroupNormalization, groups=32)
    assert replaced.get_layer("norm").groups == 16
    np.testing.assert_array_equal(replaced.get_layer("norm").gamma.value, model.get_layer("norm").gamma.value)


def test_replacing_by_our_own_layer_saves_and_loads(tmp_path):
    replaced = replace_norm(randomize_weights(_conv_net()), InstanceNormalization)
    replaced.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert relative_difference(replaced, loaded, sample_inputs(replaced)) == 0.0


def test_replacing_follows_the_channel_axis():
    model = keras.Sequential(
        [
            keras.Input((48, 6, 6)),
            layers.Conv2D(48, 3, data_format="channels_first"),
            layers.BatchNormalization(axis=1, name="norm"),
        ]
    )
    assert replace_norm(model, layers.GroupNormalization).get_layer("norm").axis == 1


@pytest.mark.parametrize(("axis", "expected"), [(-1, -1), (1, 1), ([1, 2, 3], -1)])
@pytest.mark.parametrize("norm", [layers.GroupNormalization, layers.BatchNormalization, InstanceNormalization])
def test_layer_normalization_is_replaced_though_it_holds_its_axis_as_a_list(axis, expected, norm):
    model = keras.Sequential([keras.Input((4, 4, 6)), layers.LayerNormalization(axis=axis, name="norm")])
    randomize_weights(model)
    replaced = replace_norm(model, norm, layers="norm").get_layer("norm")
    assert replaced.axis == expected
    old, new = (np.array(layer.gamma) for layer in (model.get_layer("norm"), replaced))
    np.testing.assert_array_equal(new, old if old.shape == new.shape else np.ones(6))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m: replace_norm(m, "group"), TypeError, "`norm` must be a layer class.*Received: 'group'"),
        (lambda m: replace_norm(m, layers.GroupNormalization, layers="nope"), ValueError, "`layers` names no layer"),
        (lambda m: replace_norm(m, layers.GroupNormalization, layers="conv"), ValueError, "must name normalization"),
        (lambda m: add_dropout(m, 1.0), ValueError, "`rate` must be .* Received: rate=1.0"),
        (lambda m: add_dropout(m, 0.1, before="nope"), ValueError, "`before` names no layer"),
        (lambda m: add_regularizer(m, "l2", layers="norm"), ValueError, "must name layers with a kernel"),
    ],
)
def test_wrong_arguments_are_named(call, error, match):
    with pytest.raises(error, match=match):
        call(_conv_net())


def test_dropout_changes_nothing_at_inference():
    model = randomize_weights(_conv_net())
    dropped = add_dropout(model, 0.4, before=["conv", "head"], layer=layers.SpatialDropout2D)
    assert [layer.name for layer in dropped.layers if "spatial" in layer.name]
    assert relative_difference(model, dropped, sample_inputs(model)) == 0.0


def test_penalties_are_bound_and_saved(tmp_path):
    model = add_regularizer(randomize_weights(_conv_net()), keras.regularizers.L2(0.01))
    kernels = [model.get_layer(name).kernel for name in ("conv", "head")]
    expected = sum(0.01 * float(np.sum(np.square(kernel.value))) for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    model.save(tmp_path / "model.keras")
    assert len(keras.saving.load_model(tmp_path / "model.keras").losses) == 2


def test_penalties_on_depthwise_and_recurrent_layers():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.DepthwiseConv2D(3), layers.SeparableConv2D(4, 3)])
    assert len(add_regularizer(model).losses) == 3
    assert len(add_regularizer(keras.Sequential([keras.Input((4, 3)), layers.LSTM(2)])).losses) == 1


def test_penalties_pass_over_recurrent_layers_made_of_cells():
    cells = keras.Sequential([keras.Input((4, 3)), layers.RNN(layers.GRUCell(2), name="rnn"), layers.Dense(1)])
    assert len(add_regularizer(cells).losses) == 1
    with pytest.raises(ValueError, match=r"Received: `rnn` \(RNN\)"):
        add_regularizer(cells, layers="rnn")


def test_a_named_layer_that_cannot_be_rewritten_is_refused():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.dense = layers.Dense(2, name="dense")

        def call(self, x):
            return self.dense(x)

    model = keras.Sequential([keras.Input((3,)), Block(), layers.Dense(1)])
    with pytest.raises(RewriteError, match=r"`block/dense` cannot be rewritten: .*Python code"):
        add_regularizer(model, layers="block/dense")


def test_stripping_takes_out_what_only_trains():
    stack = [layers.RandomFlip(), layers.GaussianNoise(0.1), layers.Conv2D(4, 3), layers.SpatialDropout2D(0.3)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *stack, layers.Flatten(), layers.Dropout(0.5)])
    stripped = strip_training_layers(model)
    assert [type(layer) for layer in stripped.layers] == [layers.Conv2D, layers.Flatten]
    assert relative_difference(model, stripped, sample_inputs(model)) == 0.0


def test_what_drops_on_purpose_at_inference_stays():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), DropBlock2D(0.1, 3), layers.Dropout(0.1), MonteCarloDropout(0.1), layers.Flatten()]
    )
    assert [type(layer) for layer in strip_training_layers(model).layers] == [MonteCarloDropout, layers.Flatten]


def test_subclassed_models_are_refused():
    class Net(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(RewriteError, match="Python code"):
        fold_batch_norm(Net(name="net"))


def _conv_net():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(48, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Conv2D(3, 3, name="head"),
        ]
    )
