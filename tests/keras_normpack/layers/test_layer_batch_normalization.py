"""`BatchNormalization` is Keras's, fused or not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_normpack import BatchNormalization, kernels
from keras_normpack.testing import check_layer

# For these the kernel is chosen: images, channels first, series, volumes, features.
FUSED = [
    ((32, 16, 16, 32), -1),
    ((32, 32, 16, 16), 1),
    ((64, 256, 16), -1),
    ((8, 4, 16, 16, 32), -1),
    ((1024, 256), -1),
]
IMAGES = FUSED[0][0]


def formula(inputs, weights):
    scale = weights["gamma"] / np.sqrt(weights["moving_variance"] + 1e-3)
    return (inputs - weights["moving_mean"]) * scale + weights["beta"]


@pytest.mark.parametrize("shape", [(3, 4, 4, 5), (3, 6, 5), (4, 5)])
def test_conforms(shape):
    check_layer(BatchNormalization, {}, shape, expected=formula)


def test_conforms_where_the_kernel_runs():
    check_layer(BatchNormalization, {"momentum": 0.9}, IMAGES, dynamic_axes=(1, 2), expected=formula)


def pair(shape, **arguments):
    """Our layer and Keras's with the same random weights."""
    layers = BatchNormalization(**arguments), keras.layers.BatchNormalization(**arguments)
    generator = np.random.default_rng(1)
    values = None
    for layer in layers:
        layer.build(shape)
        values = values or [generator.uniform(0.5, 1.5, weight.shape) for weight in layer.weights]
        layer.set_weights(values)
    return layers


def data(shape, dtype="float32"):
    inputs, cotangent = np.random.default_rng(0).normal(1.0, 2.0, (2, *shape))
    return tf.cast(inputs, dtype), tf.constant(cotangent, tf.float32)


def training_pass(layer, inputs, cotangent, graph=False, **call_arguments):
    """Outputs, gradients to inputs and weights (means over positions, as under a mean loss), and the weights after."""

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True, **call_arguments)
        targets = [x, *(variable.value for variable in layer.trainable_variables)]
        return outputs, *tape.gradient(outputs, targets, output_gradients=tf.cast(cotangent, outputs.dtype))

    results = (tf.function(step) if graph else step)(inputs)
    outputs, to_inputs, *to_weights = [tf.cast(result, tf.float32).numpy() for result in results]
    positions = inputs.shape.num_elements() / inputs.shape[layer.axis]
    return [outputs, to_inputs, *(gradient / positions for gradient in to_weights), *layer.get_weights()]


def assert_same(ours, theirs, tolerance):
    assert len(ours) == len(theirs)
    for actual, desired in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(actual, desired, rtol=0, atol=tolerance * max(1.0, abs(desired).max()))


@pytest.mark.parametrize(("shape", "axis"), FUSED)
@pytest.mark.parametrize("graph", [False, True])
def test_matches_keras_in_outputs_gradients_and_moving_statistics(shape, axis, graph):
    inputs, cotangent = data(shape)
    assert kernels.choose("batch_normalization", kernels.Call.of(inputs, axis)) is not None
    ours, theirs = pair(shape, axis=axis, momentum=0.8)
    assert_same(
        training_pass(ours, inputs, cotangent, graph), training_pass(theirs, inputs, cotangent, graph), tolerance=1e-5
    )


@pytest.mark.parametrize(
    "arguments",
    [{"center": False}, {"scale": False}, {"center": False, "scale": False}, {"epsilon": 1e-6}, {"dtype": "float64"}],
)
def test_matches_keras_whatever_the_arguments(arguments):
    inputs, cotangent = data(IMAGES)
    ours, theirs = pair(IMAGES, **arguments)
    assert_same(training_pass(ours, inputs, cotangent), training_pass(theirs, inputs, cotangent), tolerance=1e-5)


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_float16", 1e-3), ("mixed_bfloat16", 8e-3), ("float16", 1e-3)]
)
def test_matches_keras_in_half_precision(policy, tolerance):
    inputs, cotangent = data(IMAGES, keras.DTypePolicy(policy).compute_dtype)
    ours, theirs = pair(IMAGES, dtype=policy)
    our_results, their_results = (training_pass(layer, inputs, cotangent) for layer in (ours, theirs))
    assert_same(our_results, their_results, tolerance)
    if policy.startswith("mixed"):
        assert_same(our_results[-2:], their_results[-2:], tolerance=1e-5)


def test_statistics_of_large_float16_inputs_do_not_overflow():
    layer = BatchNormalization(momentum=0.0, dtype="mixed_float16")
    inputs = np.random.default_rng(0).normal(0.0, 1000.0, IMAGES).astype("float16")
    outputs = layer(inputs, training=True)
    assert np.isfinite(outputs.numpy()).all()
    np.testing.assert_allclose(layer.moving_variance, inputs.astype("float64").var((0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize("arguments", [{"renorm": True}, {"synchronized": True}])
def test_what_the_kernel_cannot_do_is_left_to_keras(arguments):
    inputs, cotangent = data(IMAGES)
    ours, theirs = pair(IMAGES, **arguments)
    assert_same(training_pass(ours, inputs, cotangent), training_pass(theirs, inputs, cotangent), tolerance=0)


def test_masked_positions_do_not_count():
    inputs, cotangent = data(IMAGES)
    mask = tf.constant(np.random.default_rng(2).random(IMAGES[:-1]) < 0.5)
    ours, theirs = pair(IMAGES)
    assert_same(
        training_pass(ours, inputs, cotangent, mask=mask), training_pass(theirs, inputs, cotangent, mask=mask), 0
    )


def test_frozen_or_at_inference_it_uses_and_keeps_the_moving_statistics():
    inputs, _ = data(IMAGES)
    ours, theirs = pair(IMAGES)
    before = ours.get_weights()
    np.testing.assert_array_equal(ours(inputs), theirs(inputs))
    ours.trainable = theirs.trainable = False
    np.testing.assert_array_equal(ours(inputs, training=True), theirs(inputs, training=True))
    assert_same(ours.get_weights(), before, tolerance=0)


def model_with(normalization):
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Conv2D(32, 3, padding="same")(inputs)
    return keras.Model(inputs, normalization(axis=-1, momentum=0.7, name="norm")(outputs))


def test_config_is_that_of_keras():
    arguments = {"axis": 1, "momentum": 0.5, "gamma_regularizer": "l2", "name": "norm"}
    ours, theirs = BatchNormalization(**arguments), keras.layers.BatchNormalization(**arguments)
    assert ours.get_config().keys() == theirs.get_config().keys()
    assert type(theirs).from_config(ours.get_config()).momentum == 0.5


def test_a_saved_keras_model_loads_with_our_layer_and_back(tmp_path):
    inputs = np.random.default_rng(0).normal(size=(32, 16, 16, 3)).astype("float32")
    theirs = model_with(keras.layers.BatchNormalization)
    theirs(inputs, training=True)
    theirs.save(tmp_path / "keras.keras")
    theirs.save_weights(tmp_path / "keras.weights.h5")
    with keras.saving.custom_object_scope({"BatchNormalization": BatchNormalization}):
        swapped = keras.saving.load_model(tmp_path / "keras.keras")
    ours = model_with(BatchNormalization)
    ours.load_weights(tmp_path / "keras.weights.h5")
    np.testing.assert_array_equal(ours.predict(inputs, verbose=0), theirs.predict(inputs, verbose=0))
    np.testing.assert_array_equal(swapped.predict(inputs, verbose=0), theirs.predict(inputs, verbose=0))
    ours.save_weights(tmp_path / "ours.weights.h5")
    back = model_with(keras.layers.BatchNormalization)
    back.load_weights(tmp_path / "ours.weights.h5")
    assert_same(back.get_weights(), theirs.get_weights(), tolerance=0)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_trains_as_with_keras(jit_compile):
    keras.utils.set_random_seed(0)
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
