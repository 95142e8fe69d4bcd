"""Every kernel of the backend the tests run on agrees with its reference, forward and backward."""

import functools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_normpack.autodiff import outputs_and_gradients
from keras_normpack.kernels import kernels, reference
from keras_normpack.testing import check_kernel
from keras_normpack.testing.closeness import float64

OPERATIONS = {
    "batch_normalization": {},
    "group_normalization": {"groups": 2},
    "instance_normalization": {},
    "layer_normalization": {},
    "rms_normalization": {},
}
REFERENCE_IS_AS_FAST = [
    ("torch", "rms_normalization"),
    ("jax", "batch_normalization"),
    ("jax", "instance_normalization"),
]
WITHOUT_POSITIONS = ("batch_normalization", "layer_normalization", "rms_normalization", "group_normalization")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_there_are_kernels_to_check(operation):
    assert kernels(operation) or (keras.backend.backend(), operation) in REFERENCE_IS_AS_FAST


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("shapes", "axis"), [([(3, 4, 5, 6), (3, 7, 4)], -1), ([(3, 6, 5, 2)], 1)])
def test_agrees_with_the_reference(operation, shapes, axis):
    check_kernel(operation, shapes, axis=axis, **OPERATIONS[operation])


@pytest.mark.parametrize("operation", WITHOUT_POSITIONS)
def test_agrees_on_features(operation):
    check_kernel(operation, [(8, 6)], dtypes=("float32",), **OPERATIONS[operation])


@pytest.mark.tensorflow_only
@given(
    operation=st.sampled_from(list(OPERATIONS)),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    batch=st.integers(4, 8),
    half_channels=st.integers(2, 4),
    epsilon=st.sampled_from([1e-5, 1e-3, 0.1]),
)
@settings(max_examples=15, deadline=None)
def test_agrees_on_any_shape(operation, sizes, batch, half_channels, epsilon):
    # Statistics over one single value have no gradient but rounding, and so have those over two that happen to be equal
    # but for the last digits, which the test below this one is about.
    sizes = [*sizes, 3]
    shape = (batch, *sizes, 2 * half_channels)
    check_kernel(operation, [shape], dtypes=("float32",), epsilon=epsilon, **OPERATIONS[operation])


@pytest.mark.tensorflow_only
def test_two_channels_that_are_nearly_equal_lose_no_more_than_the_definition_in_float32():
    generator = np.random.default_rng(0)
    pairs = 1.0 + 2.0 * generator.normal(size=(2000, 1)) + 1e-3 * generator.normal(size=(2000, 2))
    pairs, cotangent = pairs.astype("float32"), generator.normal(size=(2000, 2)).astype("float32")

    def gradient(function, dtype):
        normalized = functools.partial(function, gamma=None, beta=None, axis=-1, epsilon=1e-5)
        _, (found,) = outputs_and_gradients(normalized, [ops.cast(pairs, dtype)], ops.cast(cotangent, dtype))
        return float64(found)

    definition = reference("layer_normalization")
    exact = gradient(definition, "float64")
    rounded = np.abs(gradient(definition, "float32") - exact)
    for kernel in kernels("layer_normalization"):
        lost = np.abs(gradient(kernel.function, "float32") - exact)
        assert np.quantile(lost, 0.99) < 2 * np.quantile(rounded, 0.99), kernel


def test_one_value_per_channel_is_normalized_as_by_the_reference():
    # torch's own operation refuses it.
    for kernel in kernels("batch_normalization"):
        outputs, mean, variance = kernel.function(ops.full((1, 3), 5.0), None, None, axis=-1, epsilon=1e-3)
        np.testing.assert_array_equal(ops.convert_to_numpy(outputs), np.zeros((1, 3)))
        np.testing.assert_array_equal(ops.convert_to_numpy(mean), np.full(3, 5.0))
        np.testing.assert_array_equal(ops.convert_to_numpy(variance), np.zeros(3))


def test_one_value_per_group_is_normalized_as_by_the_reference():
    for kernel in kernels("group_normalization"):
        outputs = kernel.function(ops.full((2, 1, 3), 5.0), None, None, groups=3, axis=-1, epsilon=1e-3)
        np.testing.assert_array_equal(ops.convert_to_numpy(outputs), np.zeros((2, 1, 3)))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_inputs_that_need_no_gradient_may_be_the_first_of_a_model(operation):
    inputs = np.random.default_rng(0).normal(size=(4, 5, 5, 6)).astype("float32")
    for kernel in kernels(operation):
        weights = [ops.ones(6)] if operation == "rms_normalization" else [ops.ones(6), ops.zeros(6)]

        def with_constant_inputs(*weights, kernel=kernel):
            return kernel.function(
                ops.convert_to_tensor(inputs), *weights, axis=-1, epsilon=1e-3, **OPERATIONS[operation]
            )

        _, gradients = outputs_and_gradients(with_constant_inputs, weights, ops.ones(inputs.shape))
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
