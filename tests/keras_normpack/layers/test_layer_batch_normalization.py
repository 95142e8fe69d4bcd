"""`BatchNormalization` is Keras's, fused or not."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import BatchNormalization, kernels
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.drop_in import assert_same, check_interchange, data, float64, pair, passes

# For these TensorFlow's kernel is chosen: images, channels first, series, volumes, features.
FUSED = [
    ((32, 16, 16, 32), -1),
    ((32, 32, 16, 16), 1),
    ((64, 256, 16), -1),
    ((8, 4, 16, 16, 32), -1),
    ((1024, 256), -1),
]
IMAGES = FUSED[0][0]
SMALL = [((4, 5, 6, 3), -1), ((4, 3, 5, 6), 1), ((4, 5, 3), -1), ((6, 3), -1), ((2, 3, 4, 5, 3), -1), ((4, 5, 3, 6), 2)]


def both(shape, **arguments):
    return pair(BatchNormalization, keras.layers.BatchNormalization, shape, **arguments)


def compare(shape, tolerance, **arguments):
    inputs, cotangent = data(shape, arguments.get("dtype", "float32"))
    ours, theirs = both(shape, **arguments)
    assert_same(*(passes(layer, inputs, cotangent, training=True) for layer in (ours, theirs)), tolerance)


def formula(inputs, weights):
    scale = weights["gamma"] / np.sqrt(weights["moving_variance"] + 1e-3)
    return (inputs - weights["moving_mean"]) * scale + weights["beta"]


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({}, (3, 4, 4, 5)),
        ({}, (3, 6, 5)),
        ({}, (4, 5)),
        ({"virtual_batch_size": 2}, (4, 5)),
        ({"renorm": True}, (4, 5)),
    ],
)
def test_conforms(arguments, shape):
    check_layer(BatchNormalization, arguments, shape, expected=formula)


@pytest.mark.tensorflow_only
def test_conforms_where_the_kernel_runs():
    check_layer(BatchNormalization, {"momentum": 0.9}, IMAGES, dynamic_axes=(1, 2), expected=formula)


@pytest.mark.parametrize(("shape", "axis"), FUSED + SMALL)
def test_matches_keras_in_outputs_gradients_and_moving_averages(shape, axis):
    compare(shape, 1e-5, axis=axis, momentum=0.8)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(("shape", "axis"), FUSED)
def test_the_kernel_is_chosen(shape, axis):
    assert kernels.choose("batch_normalization", kernels.Call.of(ops.zeros(shape), axis)) is not None


@pytest.mark.parametrize("shape", [IMAGES, (4, 5, 3)])
@pytest.mark.parametrize(
    "arguments", [{"center": False}, {"scale": False}, {"center": False, "scale": False}, {"epsilon": 1e-6}]
)
def test_matches_keras_whatever_the_arguments(shape, arguments):
    compare(shape, 1e-5, **arguments)


@pytest.mark.tensorflow_only  # on the others Keras's layer itself computes in float32
def test_matches_keras_in_float64():
    compare((4, 5, 3), 1e-12, dtype="float64")


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_float16", 1e-3), ("mixed_bfloat16", 8e-3), ("float16", 1e-3)]
)
@pytest.mark.parametrize("shape", [IMAGES, (4, 5, 3)])
def test_matches_keras_in_half_precision(policy, tolerance, shape):
    inputs, cotangent = data(shape, keras.DTypePolicy(policy).compute_dtype)
    results = [passes(layer, inputs, cotangent, training=True) for layer in both(shape, dtype=policy)]
    assert_same(*results, tolerance)
    if policy.startswith("mixed"):
        assert_same(*(result[-2:] for result in results), tolerance=1e-5)


def test_statistics_of_large_float16_inputs_do_not_overflow():
    layer = BatchNormalization(momentum=0.0, dtype="mixed_float16")
    inputs = np.random.default_rng(0).normal(0.0, 1000.0, IMAGES).astype("float16")
    outputs = layer(inputs, training=True)
    assert np.isfinite(ops.convert_to_numpy(outputs)).all()
    np.testing.assert_allclose(float64(layer.moving_variance), inputs.astype("float64").var((0, 1, 2)), rtol=1e-4)


RENORMS = [
    {},
    {"renorm_clipping": {"rmin": 0.9, "rmax": 1.1, "dmax": 0.2}, "renorm_momentum": 0.5},
    {"renorm_clipping": {"rmax": 1.5}, "center": False},
    {"renorm_clipping": {"dmax": 0.1}, "scale": False},
    {"center": False, "scale": False},
]


@pytest.mark.parametrize("arguments", RENORMS)
@pytest.mark.parametrize(("shape", "axis"), [((4, 5, 6, 3), -1), ((4, 3, 5, 6), 1)])
def test_renormalizes_as_keras_does(shape, axis, arguments):
    compare(shape, 1e-5, axis=axis, renorm=True, momentum=0.8, **arguments)


def test_renormalizes_in_float32_under_mixed_precision():
    inputs = np.random.default_rng(0).normal(3.0, 300.0, (8, 5, 3)).astype("float16")
    half, full = (BatchNormalization(renorm=True, momentum=0.5, dtype=name) for name in ("mixed_float16", "float64"))
    outputs = [layer(inputs, training=True) for layer in (half, full)]
    assert_same([float64(outputs[0])], [float64(outputs[1])], tolerance=1e-3)
    for variable, desired in zip(half.variables, full.variables, strict=True):
        assert variable.dtype == "float32"
        np.testing.assert_allclose(float64(variable), float64(desired), rtol=1e-5)


@pytest.mark.tensorflow_only
def test_synchronized_without_a_strategy_is_over_the_batch():
    compare(IMAGES, 1e-5, synchronized=True)


def test_frozen_or_at_inference_it_uses_and_keeps_the_moving_averages():
    inputs, _ = data(IMAGES)
    ours, theirs = both(IMAGES)
    before = ours.get_weights()
    np.testing.assert_array_equal(float64(ours(inputs)), float64(theirs(inputs)))
    ours.trainable = theirs.trainable = False
    np.testing.assert_array_equal(float64(ours(inputs, training=True)), float64(theirs(inputs, training=True)))
    assert_same(ours.get_weights(), before, tolerance=0)


def model_with(normalization):
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Conv2D(32, 3, padding="same")(inputs)
    return keras.Model(inputs, normalization(axis=-1, momentum=0.7, name="norm")(outputs))


def test_config_is_that_of_keras():
    arguments = {"axis": 1, "momentum": 0.5, "gamma_regularizer": "l2", "name": "norm"}
    ours, theirs = BatchNormalization(**arguments), keras.layers.BatchNormalization(**arguments)
    assert ours.get_config().keys() == theirs.get_config().keys()
    assert type(theirs).from_config(ours.get_config()).get_config() == theirs.get_config()


def test_takes_the_arguments_of_keras_by_position():
    ours, theirs = BatchNormalization(1, 0.8, 1e-4, False), keras.layers.BatchNormalization(1, 0.8, 1e-4, False)
    assert {**ours.get_config(), "name": ""} == {**theirs.get_config(), "name": ""}


@pytest.mark.parametrize("arguments", [{}, {"axis": 1, "scale": False}, {"renorm": True}])
def test_what_keras_saves_loads_and_back(arguments, tmp_path):
    check_interchange(BatchNormalization, keras.layers.BatchNormalization, (4, 5, 6, 3), tmp_path, **arguments)


@pytest.mark.parametrize("jit_compile", [False, "auto"])
def test_trains_as_with_keras(jit_compile):
    inputs = np.random.default_rng(0).normal(size=(64, 16, 16, 3)).astype("float32")
    targets = np.random.default_rng(1).normal(size=(64, 16, 16, 32)).astype("float32")
    ours, theirs = model_with(BatchNormalization), model_with(keras.layers.BatchNormalization)
    ours.set_weights(theirs.get_weights())
    losses = []
    for model in (ours, theirs):
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
        losses.append(model.fit(inputs, targets, batch_size=32, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    # The convolution's bias is left out: normalization cancels it, so its gradient is rounding.
    assert_same(ours.layers[-1].get_weights(), theirs.layers[-1].get_weights(), tolerance=1e-5)
