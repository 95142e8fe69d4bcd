"""`OrthogonalRegularizer`: Keras's on matrices, and beyond."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_normpack import OrthogonalRegularizer
from keras_normpack.autodiff import outputs_and_gradients

modes = pytest.mark.parametrize("mode", ["rows", "columns"])


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def weights(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@settings(max_examples=20)
@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 99), st.sampled_from(["rows", "columns"]))
def test_on_matrices_it_is_that_of_keras(rows, columns, seed, mode):
    matrix = keras.ops.convert_to_tensor(weights((rows, columns), seed))
    desired = keras.regularizers.OrthogonalRegularizer(0.3, mode)(matrix)
    np.testing.assert_allclose(numpy(OrthogonalRegularizer(0.3, mode)(matrix)), numpy(desired), rtol=1e-5)


@modes
@pytest.mark.parametrize("shape", [(3, 2, 4), (2, 3, 2, 5), (2, 2, 1, 2, 3)])
def test_it_is_the_mean_cosine_of_all_pairs(mode, shape):
    kernel = weights(shape)
    matrix = kernel.reshape(-1, shape[-1]).astype("float64")
    vectors = matrix if mode == "rows" else matrix.T
    cosines = [abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b) for a, b in itertools.combinations(vectors, 2)]
    penalty = OrthogonalRegularizer(0.5, mode)(keras.ops.convert_to_tensor(kernel))
    np.testing.assert_allclose(numpy(penalty), 0.5 * np.mean(cosines), rtol=1e-5)


@modes
def test_orthogonal_weights_cost_nothing_and_one_vector_neither(mode):
    regularizer = OrthogonalRegularizer(1.0, mode)
    assert abs(numpy(regularizer(keras.ops.eye(4)))) < 1e-7
    assert numpy(regularizer(keras.ops.ones((1, 1)))) == 0


@modes
def test_zeros_have_a_finite_penalty_and_gradient(mode):
    kernel = weights((3, 3, 4))
    kernel[..., 1] = 0.0
    kernel[1, 2] = 0.0
    penalty, (gradient,) = outputs_and_gradients(
        OrthogonalRegularizer(1.0, mode), [keras.ops.convert_to_tensor(kernel)], keras.ops.ones(())
    )
    assert np.isfinite(numpy(penalty))
    assert np.isfinite(gradient).all()


@modes
def test_half_precision_weights_are_compared_in_float32(mode):
    """Squares of these weights would be 0 in float16, and their sums over 300 rows imprecise."""
    kernel = (1e-4 * weights((3, 100, 8))).astype("float16")
    penalty = OrthogonalRegularizer(1.0, mode)(keras.ops.convert_to_tensor(kernel))
    desired = OrthogonalRegularizer(1.0, mode)(keras.ops.convert_to_tensor(kernel.astype("float32")))
    assert keras.backend.standardize_dtype(penalty.dtype) == "float32"
    np.testing.assert_allclose(numpy(penalty), numpy(desired), rtol=1e-6)


def test_it_turns_the_filters_of_a_convolution_apart_and_survives_saving(tmp_path):
    regularizer = OrthogonalRegularizer(1.0, mode="columns")
    model = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Conv2D(4, 3, kernel_regularizer=regularizer)])
    kernel = model.layers[0].kernel
    kernel.assign(weights(kernel.shape) + 2.0)
    before = float(numpy(regularizer(kernel)))
    model.compile(keras.optimizers.SGD(10.0), "mse", loss_weights=[0.0], jit_compile=False)
    # Of one batch repeated, since an epoch costs more than a step.
    model.fit(np.zeros((60, 6, 6, 2)), np.zeros((60, 4, 4, 4)), batch_size=1, verbose=0)
    assert float(numpy(regularizer(kernel))) < 0.3 * before
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.layers[0].kernel_regularizer.get_config() == {"factor": 1.0, "mode": "columns"}
    np.testing.assert_allclose(numpy(loaded.losses[0]), numpy(model.losses[0]), rtol=1e-6)


def test_wrong_arguments_are_refused():
    for factor in (-1.0, float("nan"), float("inf"), "strong", True):
        with pytest.raises(ValueError, match=r"`factor` of OrthogonalRegularizer must be a finite.*Received: factor="):
            OrthogonalRegularizer(factor)
    with pytest.raises(ValueError, match=r"`mode` of OrthogonalRegularizer must be .*Received: mode='diagonals'"):
        OrthogonalRegularizer(mode="diagonals")
    with pytest.raises(ValueError, match=r"at least 2 axes.*Received: weights of shape \(3,\)"):
        OrthogonalRegularizer()(keras.ops.ones((3,)))
