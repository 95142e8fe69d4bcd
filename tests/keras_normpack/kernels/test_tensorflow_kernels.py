"""TensorFlow's kernels are differentiable twice, keep static shapes, and run in graphs and under XLA."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack.kernels import Call, choose, kernels, reference

pytestmark = pytest.mark.tensorflow_only

LARGE = (32, 16, 16, 32)
OPERATIONS = {
    "batch_normalization": {},
    "group_normalization": {"groups": 2},
    "instance_normalization": {},
    "layer_normalization": {},
    "rms_normalization": {},
}


def each_kernel():
    if keras.backend.backend() != "tensorflow":
        return []
    return [
        pytest.param(kernel, OPERATIONS[operation], id=f"{operation}-{kernel.function.__name__}")
        for operation in OPERATIONS
        for kernel in kernels(operation)
    ]


def affine(operation, channels=6):
    gamma, beta = np.random.default_rng(5).uniform(0.5, 1.5, (2, channels)).astype("float32")
    return (gamma,) if operation == "rms_normalization" else (gamma, beta)


def first(outputs):
    return outputs[0] if isinstance(outputs, tuple) else outputs


@pytest.mark.parametrize(("kernel", "arguments"), each_kernel())
def test_second_derivatives_are_those_of_the_reference(kernel, arguments):
    import tensorflow as tf

    inputs = tf.constant(np.random.default_rng(0).normal(size=(3, 4, 4, 6)))
    weights = [tf.constant(weight) for weight in affine(kernel.operation)]

    def penalty(function, dtype):
        sources = [tf.cast(source, dtype) for source in (inputs, *weights)]
        with tf.GradientTape() as outer:
            outer.watch(sources)
            with tf.GradientTape() as inner:
                inner.watch(sources)
                loss = tf.reduce_sum(first(function(*sources, axis=-1, epsilon=1e-3, **arguments)) ** 3)
            gradients = inner.gradient(loss, sources)
            squared = sum(tf.reduce_sum(gradient**2) for gradient in gradients)
        return [result.numpy() for result in outer.gradient(squared, sources)]

    desired = penalty(reference(kernel.operation), "float64")
    for actual, expected in zip(penalty(kernel.function, "float32"), desired, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-4 * abs(expected).max())


@pytest.mark.parametrize(("kernel", "arguments"), each_kernel())
def test_compiled_by_xla_it_computes_the_same(kernel, arguments):
    import tensorflow as tf

    inputs, cotangent = np.random.default_rng(0).normal(1.0, 2.0, (2, 4, 5, 5, 6)).astype("float32")

    def step(function, *values):
        values = [tf.convert_to_tensor(value) for value in values]
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = first(function(*values, axis=-1, epsilon=1e-3, **arguments))
        return outputs, *tape.gradient(outputs, values, output_gradients=tf.cast(cotangent, outputs.dtype))

    values = (inputs, *affine(kernel.operation))
    compiled = tf.function(step, jit_compile=True, autograph=False)
    desired = step(reference(kernel.operation), *(value.astype("float64") for value in values))
    for actual, expected in zip(compiled(kernel.function, *values), desired, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize(("kernel", "arguments"), each_kernel())
def test_gamma_and_beta_may_be_missing(kernel, arguments):
    inputs = np.random.default_rng(0).normal(1.0, 2.0, (4, 5, 5, 6)).astype("float32")
    missing = [None] * len(affine(kernel.operation))
    actual = first(kernel.function(ops.convert_to_tensor(inputs), *missing, axis=-1, epsilon=1e-3, **arguments))
    desired = first(reference(kernel.operation)(inputs, *missing, axis=-1, epsilon=1e-3, **arguments))
    np.testing.assert_allclose(actual, desired, atol=1e-5)


@pytest.mark.parametrize(("kernel", "arguments"), each_kernel())
def test_static_shape_survives_an_unknown_batch(kernel, arguments):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, 5, 2, 6))], autograph=False)
    def normalize(inputs):
        outputs = first(kernel.function(inputs, *affine(kernel.operation), axis=-1, epsilon=1e-3, **arguments))
        assert outputs.shape.as_list() == [None, 5, 2, 6]
        return outputs

    assert tuple(normalize(tf.zeros((3, 5, 2, 6))).shape) == (3, 5, 2, 6)


@pytest.mark.parametrize(("kernel", "arguments"), each_kernel())
def test_an_empty_batch_keeps_its_shape(kernel, arguments):
    inputs = ops.zeros((0, 4, 4, 6))
    outputs = first(kernel.function(inputs, *affine(kernel.operation), axis=-1, epsilon=1e-3, **arguments))
    assert tuple(outputs.shape) == (0, 4, 4, 6)


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation != "batch_normalization"])
@pytest.mark.parametrize(
    ("shape", "dtype", "axis", "chosen"),
    [
        (LARGE, "float32", -1, True),
        ((None, 64, 128), "float32", -1, True),
        (LARGE, "bfloat16", -1, True),
        (LARGE, "float64", -1, False),
        ((32, 32, 16, 16), "float32", 1, False),
        ((None, None, 64), "float32", -1, False),
        ((4, 4, 4, 8), "float32", -1, False),
    ],
)
def test_compiled_passes_are_chosen_for_large_fixed_shapes_with_channels_last(operation, shape, dtype, axis, chosen):
    tensor = keras.KerasTensor(shape, dtype)
    assert (choose(operation, Call.of(tensor, axis)) is not None) == chosen


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation != "batch_normalization"])
def test_compiled_passes_are_for_training_so_that_exports_hold_plain_operations(operation):
    call = Call.of(keras.KerasTensor(LARGE), -1, training=True)
    assert choose(operation, call) is not None
    for training in (None, False):
        assert choose(operation, Call.of(keras.KerasTensor(LARGE), -1, training)) is None


def test_under_xla_few_channels_and_few_positions_are_left_to_keras():
    import tensorflow as tf

    def chosen(operation, shape, jit_compile):
        found = []

        @tf.function(jit_compile=jit_compile, autograph=False)
        def trace():
            found.append(choose(operation, Call(shape, "float32", len(shape) - 1)))
            return tf.zeros(1)

        trace()
        return found[0] is not None

    for jit_compile in (False, True):
        assert chosen("layer_normalization", (64, 64, 64, 3), jit_compile) is not jit_compile
        assert chosen("group_normalization", (4096, 4, 64), jit_compile) is not jit_compile
        assert chosen("group_normalization", (64, 16, 16, 64), jit_compile)


def test_under_xla_batch_normalization_has_passes_of_its_own():
    import tensorflow as tf

    native, compiled = (kernel.function for kernel in kernels("batch_normalization"))
    chosen = []

    def trace(inputs):
        chosen.append(choose("batch_normalization", Call.of(inputs, -1)))
        return inputs

    for jit_compile in (False, True):
        tf.function(trace, jit_compile=jit_compile, autograph=False)(tf.zeros(LARGE))
    trace(tf.zeros(LARGE))
    assert chosen == [native, compiled, native]
