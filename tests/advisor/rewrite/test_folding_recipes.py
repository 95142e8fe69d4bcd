"""Maps per channel folded into linear layers on either side, each recipe usable without the advisor."""

import keras
import numpy as np
import pytest
from keras import layers

from advisor.graph.sampling import sample_inputs
from advisor.rewrite import (
    drop_zero_branches,
    fold_batch_norm,
    fold_layer_scale,
    fold_norm_weights,
    fold_rescaling,
    relative_difference,
)
from advisor.testing import randomize_weights
from keras_normpack import InstanceNormalization, LayerScale

# Rounding of a weight or two, nothing else.
EXACT = 1e-6


def stack(shape, *steps):
    return keras.Sequential([keras.Input(shape), *steps])


def names(model):
    return [type(layer).__name__ for layer in model.layers if not isinstance(layer, layers.InputLayer)]


def difference(model, folded):
    return relative_difference(model, folded, sample_inputs(model, batch_size=4, seed=1))


READ_BY = {
    "conv": ((6, 6, 4), lambda: layers.Conv2D(3, 3)),
    "conv without bias": ((6, 6, 4), lambda: layers.Conv2D(3, 3, use_bias=False)),
    "conv with an activation": ((6, 6, 4), lambda: layers.Conv2D(3, 3, activation="relu")),
    "strided and dilated": ((9, 9, 4), lambda: layers.Conv2D(3, (2, 3), dilation_rate=2)),
    "pointwise, padded in name only": ((6, 6, 4), lambda: layers.Conv2D(3, 1, strides=2, padding="same")),
    "grouped conv": ((6, 6, 4), lambda: layers.Conv2D(6, 3, groups=2)),
    "conv of one channel a group": ((6, 6, 4), lambda: layers.Conv2D(8, 3, groups=4)),
    "causal and pointwise": ((7, 4), lambda: layers.Conv1D(3, 1, padding="causal")),
    "conv 1d": ((7, 4), lambda: layers.Conv1D(3, 3)),
    "conv 3d": ((4, 4, 4, 2), lambda: layers.Conv3D(3, 2)),
    "depthwise": ((6, 6, 4), lambda: layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "depthwise 1d": ((7, 4), lambda: layers.DepthwiseConv1D(3, use_bias=False)),
    "separable": ((6, 6, 4), lambda: layers.SeparableConv2D(3, 3, depth_multiplier=2)),
    "separable 1d": ((7, 4), lambda: layers.SeparableConv1D(3, 3, use_bias=False)),
    "pointwise transposed": ((6, 6, 4), lambda: layers.Conv2DTranspose(3, 1)),
    "dense": ((7,), lambda: layers.Dense(3)),
    "dense on maps": ((6, 6, 4), lambda: layers.Dense(3)),
    "dense in time": ((5, 4), lambda: layers.TimeDistributed(layers.Dense(3))),
}


@pytest.mark.parametrize("case", READ_BY)
def test_a_layer_takes_up_the_norm_before_it(case):
    shape, make = READ_BY[case]
    model = randomize_weights(stack(shape, layers.ReLU(), layers.BatchNormalization(), make()))
    folded = fold_batch_norm(model)
    assert "BatchNormalization" not in names(folded)
    assert difference(model, folded) < EXACT


PADDED = {
    "conv": lambda: layers.Conv2D(3, 3, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, padding="same"),
    "separable": lambda: layers.SeparableConv2D(3, 3, padding="same"),
    "transposed": lambda: layers.Conv2DTranspose(3, 3, strides=2),
}


@pytest.mark.parametrize("case", PADDED)
def test_a_layer_that_pads_takes_up_scales_only(case):
    norm = layers.BatchNormalization(center=False, moving_variance_initializer=keras.initializers.Constant(0.3))
    model = stack((6, 6, 4), layers.ReLU(), norm, PADDED[case]())
    folded = fold_batch_norm(model)
    assert "BatchNormalization" not in names(folded)
    assert difference(model, folded) < EXACT
    norm.moving_mean.assign([0.0, 0.0, 0.0, 1e-3])
    assert "BatchNormalization" in names(fold_batch_norm(model))


BETWEEN = {
    "average pooling": ((8, 8, 3), lambda: [layers.AveragePooling2D(2, padding="same")]),
    "global pooling": ((8, 8, 3), lambda: [layers.GlobalAveragePooling2D()]),
    "upsampling": ((4, 4, 3), lambda: [layers.UpSampling2D(2, interpolation="bilinear")]),
    "cropping and dropout": ((8, 8, 3), lambda: [layers.Cropping2D(1), layers.Dropout(0.5)]),
    "positions in a row": ((8, 8, 3), lambda: [layers.Reshape((-1, 3))]),
}


@pytest.mark.parametrize("case", BETWEEN)
def test_layers_may_stand_between(case):
    shape, make = BETWEEN[case]
    model = randomize_weights(stack(shape, layers.Conv2D(3, 1), *make(), layers.BatchNormalization(), layers.ReLU()))
    folded = fold_batch_norm(model)
    assert "BatchNormalization" not in names(folded)
    assert difference(model, folded) < EXACT
    model = randomize_weights(stack(shape, layers.ReLU(), layers.BatchNormalization(), *make(), layers.Dense(2)))
    folded = fold_batch_norm(model)
    assert "BatchNormalization" not in names(folded)
    assert difference(model, folded) < EXACT


def test_flattened_maps_are_read_by_a_dense_layer():
    model = randomize_weights(
        stack((5, 5, 3), layers.ReLU(), layers.BatchNormalization(), layers.Flatten(), layers.Dense(2))
    )
    folded = fold_batch_norm(model)
    assert names(folded) == ["ReLU", "Flatten", "Dense"]
    assert difference(model, folded) < EXACT


def test_the_first_layer_of_a_generator():
    model = randomize_weights(stack((7,), layers.Dense(48), layers.Reshape((4, 4, 3)), layers.BatchNormalization()))
    folded = fold_batch_norm(model)
    assert names(folded) == ["Dense", "Reshape"]
    assert difference(model, folded) < EXACT


@pytest.mark.parametrize(("sign", "folds"), [(1.0, True), (-1.0, False)])
def test_a_maximum_needs_scales_that_are_not_negative(sign, folds):
    norm = layers.BatchNormalization()
    model = randomize_weights(stack((8, 8, 3), layers.Conv2D(3, 3), layers.MaxPooling2D(), norm, layers.ReLU()))
    norm.gamma.assign([1.0, 0.5, sign * 0.5])
    folded = fold_batch_norm(model)
    assert ("BatchNormalization" not in names(folded)) is folds
    assert difference(model, folded) < EXACT


def test_padding_needs_a_shift_of_zero():
    norm = layers.BatchNormalization(name="norm")
    model = randomize_weights(stack((8, 8, 3), layers.Conv2D(3, 3), layers.ZeroPadding2D(), norm, layers.ReLU()))
    assert "BatchNormalization" in names(fold_batch_norm(model))
    norm.beta.assign(np.zeros(3))
    norm.moving_mean.assign(np.zeros(3))
    folded = fold_batch_norm(model)
    assert "BatchNormalization" not in names(folded)
    assert difference(model, folded) < EXACT


def test_concatenated_convolutions():
    image = keras.Input((6, 6, 4))
    parts = [layers.Conv2D(3, 1)(image), layers.AveragePooling2D(1)(layers.Conv2D(2, 1, use_bias=False)(image))]
    model = keras.Model(image, layers.ReLU()(layers.BatchNormalization()(layers.Concatenate()(parts))))
    folded = fold_batch_norm(randomize_weights(model))
    assert "BatchNormalization" not in names(folded)
    assert difference(model, folded) < EXACT


def test_several_readers_and_a_norm_on_both_sides():
    image = keras.Input((6, 6, 4))
    x = layers.BatchNormalization()(layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3)(image))))
    outputs = [layers.BatchNormalization()(layers.Conv2D(2, 3)(x)), layers.Dense(3)(layers.GlobalAveragePooling2D()(x))]
    model = randomize_weights(keras.Model(image, outputs))
    folded = fold_batch_norm(model)
    assert "BatchNormalization" not in names(folded)
    assert difference(model, folded) < EXACT
    assert folded.output_names == model.output_names


def test_norms_in_a_row_fold_one_after_the_other():
    norms = [layers.BatchNormalization() for _ in range(3)]
    model = randomize_weights(stack((7,), layers.Dense(4), *norms, layers.ReLU()))
    folded = fold_batch_norm(model)
    assert names(folded) == ["Dense", "ReLU"]
    assert difference(model, folded) < EXACT


def test_a_norm_that_is_an_output_folds_back_but_not_forwards():
    image = keras.Input((6, 6, 4))
    normed = layers.BatchNormalization(name="normed")(layers.Conv2D(4, 3)(image))
    model = randomize_weights(keras.Model(image, [normed, layers.Dense(2)(normed)]))
    folded = fold_batch_norm(model)
    assert "BatchNormalization" not in names(folded)
    assert difference(model, folded) < EXACT
    normed = layers.BatchNormalization(name="normed")(layers.ReLU()(image))
    model = randomize_weights(keras.Model(image, [normed, layers.Dense(2)(normed)]))
    assert "BatchNormalization" in names(fold_batch_norm(model))


def test_other_axes_fold_where_the_channels_lie_there():
    norm = layers.BatchNormalization(axis=1)
    dense = stack((5, 4), layers.Permute((2, 1)), layers.Dense(3), layers.Permute((2, 1)), norm, layers.ReLU())
    assert "BatchNormalization" in names(fold_batch_norm(randomize_weights(dense)))
    pooled = [layers.BatchNormalization(axis=1), layers.GlobalAveragePooling2D(data_format="channels_first")]
    model = randomize_weights(stack((4, 6, 6), layers.ReLU(), *pooled, layers.Dense(2)))
    folded = fold_batch_norm(model)
    assert "BatchNormalization" not in names(folded)
    assert difference(model, folded) < EXACT


def test_channels_first_convolutions():
    first = {"data_format": "channels_first"}
    steps = [layers.Conv2D(4, 3, **first), layers.AveragePooling2D(2, **first), layers.BatchNormalization(axis=1)]
    model = randomize_weights(
        stack((3, 9, 9), *steps, layers.ReLU(), layers.BatchNormalization(axis=1), layers.Conv2D(2, 2, **first))
    )
    folded = fold_batch_norm(model)
    assert "BatchNormalization" not in names(folded)
    x = sample_inputs(model, batch_size=2)
    # No convolution of channels first on a CPU, but the same weights do with channels last.
    last = [layers.Conv2D(4, 3), layers.AveragePooling2D(2), layers.BatchNormalization(), layers.ReLU()]
    plain = stack((9, 9, 3), *last, layers.BatchNormalization(), layers.Conv2D(2, 2))
    plain.set_weights(model.get_weights())
    short = stack((9, 9, 3), layers.Conv2D(4, 3), layers.AveragePooling2D(2), layers.ReLU(), layers.Conv2D(2, 2))
    short.set_weights(folded.get_weights())
    assert relative_difference(plain, short, np.moveaxis(x, 1, -1)) < EXACT


def test_layer_scale_goes_into_the_layer_before_it():
    image = keras.Input((6, 6, 4))
    branch = LayerScale(0.1)(layers.Dropout(0.1)(layers.Dense(4)(layers.Dense(8, "relu")(image))))
    model = randomize_weights(keras.Model(image, image + branch))
    folded = fold_layer_scale(model)
    assert "LayerScale" not in names(folded)
    assert difference(model, folded) < EXACT


def test_layer_scale_goes_into_the_layer_after_it_or_stays():
    model = randomize_weights(stack((4,), layers.ReLU(), LayerScale(0.1), layers.Dense(4)))
    folded = fold_layer_scale(model)
    assert names(folded) == ["ReLU", "Dense"]
    assert difference(model, folded) < EXACT
    assert names(fold_layer_scale(stack((4,), layers.ReLU(), LayerScale(), layers.ReLU()))) == [
        "ReLU",
        "LayerScale",
        "ReLU",
    ]


NORMS = {
    "layer": lambda **arguments: layers.LayerNormalization(**arguments),
    "group": lambda **arguments: layers.GroupNormalization(2, **arguments),
    "instance": lambda **arguments: InstanceNormalization(**arguments),
}


@pytest.mark.parametrize("arguments", [{}, {"center": False}, {"scale": False}], ids=str)
@pytest.mark.parametrize("case", NORMS)
def test_the_weights_of_a_norm_go_into_all_its_readers(case, arguments):
    image = keras.Input((6, 6, 4))
    x = NORMS[case](name="norm", **arguments)(image)
    outputs = [layers.Dense(3, activation="gelu")(x), layers.Conv2D(2, 2, strides=2)(layers.Dropout(0.1)(x))]
    model = randomize_weights(keras.Model(image, outputs))
    folded = fold_norm_weights(model)
    assert not folded.get_layer("norm").weights
    assert difference(model, folded) < 3 * EXACT


def test_the_weights_of_a_norm_stay_where_something_else_reads_it():
    image = keras.Input((6, 6, 4))
    for steps in ([layers.ReLU()], [layers.Conv2D(3, 3, padding="same")], [layers.Permute((2, 1, 3)), layers.Dense(2)]):
        model = randomize_weights(stack((6, 6, 4), layers.LayerNormalization(name="norm"), *steps))
        assert len(fold_norm_weights(model).get_layer("norm").weights) == 2
    normed = layers.LayerNormalization(name="norm")(image)
    model = randomize_weights(keras.Model(image, layers.Dense(4)(normed) + normed))
    assert len(fold_norm_weights(model).get_layer("norm").weights) == 2


def imagenet():
    return layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.229**2, 0.224**2, 0.225**2])


def test_a_row_of_rescalings_becomes_one():
    steps = [layers.Rescaling(1 / 255), imagenet(), layers.Rescaling([1.0, 2.0, 3.0])]
    model = stack((8, 8, 3), *steps, layers.ReLU())
    folded = fold_rescaling(model)
    assert names(folded) == ["Rescaling", "ReLU"]
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype("float32")
    assert relative_difference(model, folded, pixels) < EXACT


def test_a_convolution_takes_up_the_scaling_of_its_inputs():
    model = randomize_weights(stack((8, 8, 3), layers.Rescaling(1 / 255), imagenet(), layers.Conv2D(4, 3)))
    folded = fold_rescaling(model)
    assert names(folded) == ["Conv2D"]
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype("float32")
    assert relative_difference(model, folded, pixels) < 3 * EXACT


@pytest.mark.parametrize("pad", [[layers.ZeroPadding2D(1), layers.Conv2D(4, 3)], [layers.Conv2D(4, 3, padding="same")]])
def test_a_convolution_that_pads_leaves_the_addition(pad):
    model = randomize_weights(stack((8, 8, 3), layers.Rescaling(1 / 255), imagenet(), *pad))
    folded = fold_rescaling(model)
    assert names(folded)[0] == "Rescaling"
    assert folded.layers[0].scale == 1.0
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype("float32")
    assert relative_difference(model, folded, pixels) < 3 * EXACT


def test_rescaled_outputs_go_into_the_head():
    model = randomize_weights(
        stack((7,), layers.Dense(2), layers.Normalization(mean=[5.0, -2.0], variance=[4.0, 9.0], invert=True))
    )
    folded = fold_rescaling(model)
    assert names(folded) == ["Dense"]
    assert difference(model, folded) < EXACT


def test_an_adapted_normalization_is_read_as_it_is():
    norm = layers.Normalization()
    norm.adapt(np.random.default_rng(0).normal(2.0, 3.0, (50, 4)))
    model = stack((4,), norm, layers.Dense(3))
    folded = fold_rescaling(model)
    assert names(folded) == ["Dense"]
    assert difference(model, folded) < 3 * EXACT


def test_rescaling_stays_where_it_is_needed():
    whole = keras.Sequential([keras.Input((8, 8, 3), dtype="uint8"), layers.Rescaling(1 / 255), layers.Conv2D(4, 3)])
    assert names(fold_rescaling(whole)) == ["Rescaling", "Conv2D"]
    years = stack((1,), layers.Normalization(mean=[2000.0], variance=[25.0]), layers.Dense(2))
    assert names(fold_rescaling(years)) == ["Normalization", "Dense"]
    image = keras.Input((8, 8, 3))
    scaled = layers.Rescaling(1 / 255, name="scaled")(image)
    assert "Rescaling" in names(fold_rescaling(keras.Model(image, [layers.Conv2D(4, 3)(scaled), scaled])))
    shared = layers.Rescaling(0.5)
    model = keras.Model(image, layers.Add()([shared(image), shared(layers.ReLU()(image))]))
    assert names(fold_rescaling(model)).count("Rescaling") == 1


def _residual(end, *, reverse=False, operator=False):
    image = keras.Input((6, 6, 4))
    x = layers.Conv2D(4, 1, name="stem")(image)
    branch = end(layers.Dense(8, "relu", name="hidden")(x))
    pair = [branch, x] if reverse else [x, branch]
    summed = pair[0] + pair[1] if operator else layers.Add()(pair)
    return keras.Model(image, layers.Dense(2, name="head")(summed))


ZERO_ENDS = {
    "layer scale": lambda x: LayerScale(name="zero")(layers.Dense(4, name="wide")(x)),
    "dense": lambda x: layers.Dense(4, kernel_initializer="zeros", name="zero")(x),
    "gamma": lambda x: layers.BatchNormalization(gamma_initializer="zeros", name="zero")(
        layers.Dense(4, name="wide")(x)
    ),
    "zeros passed on": lambda x: layers.ReLU()(
        layers.AveragePooling2D(1)(layers.SeparableConv2D(4, 3, padding="same", pointwise_initializer="zeros")(x))
    ),
}


@pytest.mark.parametrize(("reverse", "operator"), [(True, False), (False, True)])
@pytest.mark.parametrize("case", ZERO_ENDS)
def test_branches_of_zeros_go(case, reverse, operator):
    model = _residual(ZERO_ENDS[case], reverse=reverse, operator=operator)
    if case == "layer scale":
        model.get_layer("zero").gamma.assign(np.zeros(4))
    dropped = drop_zero_branches(model)
    assert [layer.name for layer in dropped.layers[1:]] == ["stem", "head"]
    assert difference(model, dropped) == 0.0


OTHER_ENDS = {
    "bias": lambda x: layers.Dense(4, kernel_initializer="zeros", bias_initializer="ones")(x),
    "beta": lambda x: layers.BatchNormalization(gamma_initializer="zeros", beta_initializer="ones")(layers.Dense(4)(x)),
    "sigmoid": lambda x: layers.Dense(4, kernel_initializer="zeros", activation="sigmoid")(x),
    "cosine": lambda x: keras.ops.cos(layers.Dense(4, kernel_initializer="zeros")(x)),
}


@pytest.mark.parametrize("case", OTHER_ENDS)
def test_other_branches_stay(case):
    model = _residual(OTHER_ENDS[case])
    assert len(drop_zero_branches(model).layers) == len(model.layers)


def test_a_sum_that_broadcasts_stays():
    x = keras.Input((1, 4))
    zeros = layers.Dense(4, kernel_initializer="zeros")(layers.Reshape((3, 4))(layers.Dense(12)(x)))
    model = keras.Model(x, layers.Add()([x, zeros]))
    assert len(drop_zero_branches(model).layers) == len(model.layers)


def test_an_output_that_is_such_a_sum_keeps_its_name():
    x = keras.Input((4,))
    zeros = layers.Dense(4, kernel_initializer="zeros")(x)
    model = keras.Model(x, {"sum": layers.Add(name="sum")([zeros, x]), "other": layers.Dense(2, name="other")(x)})
    dropped = drop_zero_branches(model)
    assert sorted(dropped.output_names) == sorted(model.output_names)
    assert "Dense" in names(dropped)
    assert len(dropped.weights) == 2
    assert difference(model, dropped) == 0.0
