"""JAX's kernels are differentiable twice, and are used under `jit`."""

import keras
import numpy as np
import pytest

from keras_normpack.kernels import Call, choose, kernels, reference

jax = pytest.importorskip("jax")
if keras.backend.backend() != "jax":
    pytest.skip("about the JAX backend", allow_module_level=True)

import jax.numpy as jnp  # noqa: E402

OPERATIONS = {
    "group_normalization": {"groups": 2},
    "layer_normalization": {},
    "rms_normalization": {},
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_second_derivatives_are_those_of_the_reference(operation):
    generator = np.random.default_rng(0)
    weights = generator.uniform(0.5, 1.5, (1 if operation == "rms_normalization" else 2, 6))
    sources = [generator.normal(size=(3, 4, 4, 6)), *weights]

    def penalty(function, dtype):
        def loss(values):
            outputs = function(*values, axis=-1, epsilon=1e-3, **OPERATIONS[operation])
            return jnp.sum(outputs**3)

        def squared_gradient(values):
            return sum(jnp.sum(gradient**2) for gradient in jax.grad(loss)(values))

        return jax.jit(jax.grad(squared_gradient))([jnp.asarray(source, dtype) for source in sources])

    (kernel,) = kernels(operation)
    desired = penalty(reference(operation), "float64")
    for actual, expected in zip(penalty(kernel.function, "float32"), desired, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("shape", "dtype", "axis", "chosen"),
    [
        ((32, 16, 16, 32), "float32", 3, True),
        ((32, 16, 16, 32), "float64", 3, False),
        ((32, 32, 16, 16), "float32", 1, False),
        ((4, 4, 4, 8), "float32", 3, False),
    ],
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_chosen_for_large_shapes_with_channels_last(operation, shape, dtype, axis, chosen):
    assert (choose(operation, Call(shape, dtype, axis)) is not None) == chosen
