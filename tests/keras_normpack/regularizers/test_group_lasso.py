"""`GroupLasso`: its formula, its gradient at zero, and the inputs that it takes out of a network."""

import keras
import numpy as np
import pytest

from keras_normpack import GroupLasso
from keras_normpack.autodiff import outputs_and_gradients


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def weights(shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    ("shape", "axis", "members"),
    [
        ((5, 3), -2, (1,)),
        ((5, 3), -1, (0,)),
        ((3, 2, 4, 5), -2, (0, 1, 3)),
        ((3, 2, 4, 5), 3, (0, 1, 2)),
        ((3, 2, 4, 5), (-2, -1), (0, 1)),
        ((7,), 0, ()),
    ],
)
def test_it_is_the_sum_of_the_norms_times_the_root_of_the_size(shape, axis, members):
    kernel = weights(shape)
    size = np.prod([shape[member] for member in members])
    desired = 0.3 * np.sqrt(size) * np.sqrt((kernel.astype("float64") ** 2).sum(members)).sum()
    np.testing.assert_allclose(numpy(GroupLasso(0.3, axis)(keras.ops.convert_to_tensor(kernel))), desired, rtol=1e-5)


def test_its_gradient_is_the_direction_of_the_group_and_zero_at_zero():
    kernel = weights((4, 3))
    kernel[1] = 0.0
    kernel[2] *= 1e-12
    _, (gradient,) = outputs_and_gradients(GroupLasso(0.3), [keras.ops.convert_to_tensor(kernel)], keras.ops.ones(()))
    norm = np.linalg.norm(kernel.astype("float64"), axis=1, keepdims=True)
    desired = 0.3 * np.sqrt(3) * np.divide(kernel, norm, out=np.zeros((4, 3)), where=norm > 0)
    np.testing.assert_allclose(gradient, desired, rtol=1e-4)


def test_half_precision_weights_are_summed_in_float32():
    """Squares of these weights would be 0 in float16, and their sum with the factor beyond its range."""
    for scale in (1e-5, 1e3):
        kernel = (scale * weights((4, 300))).astype("float16")
        penalty = GroupLasso(1.0)(keras.ops.convert_to_tensor(kernel))
        desired = np.sqrt(300) * np.linalg.norm(kernel.astype("float64"), axis=1).sum()
        assert keras.backend.standardize_dtype(penalty.dtype) == "float32"
        np.testing.assert_allclose(numpy(penalty), desired, rtol=1e-5)


def rows_after_training(regularizer):
    """Row norms of the first kernel after regression on 3 inputs that matter and 5 that do not."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(64, 8)).astype("float32")
    targets = inputs[:, :3] @ np.array([[2.0, -1.0], [1.0, 1.0], [-1.0, 2.0]]) + 0.1 * generator.normal(size=(64, 2))
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, kernel_regularizer=regularizer)])
    model.compile(
        keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.3, 80, alpha=1e-3)), "mse", jit_compile=False
    )
    # One epoch of the same batch, since an epoch costs more than a step.
    model.fit(np.tile(inputs, (80, 1)), np.tile(targets, (80, 1)), batch_size=64, shuffle=False, verbose=0)
    return np.linalg.norm(numpy(model.layers[0].kernel), axis=1)


def test_inputs_that_do_not_matter_go_to_zero_as_they_do_not_with_l2():
    lasso, l2 = rows_after_training(GroupLasso(0.03)), rows_after_training(keras.regularizers.L2(0.03))
    assert lasso[3:].max() < 1e-3
    assert lasso[:3].min() > 1.0
    assert l2[3:].min() > 5e-3
    assert l2[:3].min() > 1.0


def test_it_survives_saving_and_cloning(tmp_path):
    layer = keras.layers.Conv2D(4, 3, kernel_regularizer=GroupLasso(1e-3, axis=(-2, -1)))
    model = keras.Sequential([keras.Input((6, 6, 2)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for copy in (loaded, keras.models.clone_model(model)):
        assert copy.layers[0].kernel_regularizer.get_config() == {"factor": 1e-3, "axis": [-2, -1]}
    np.testing.assert_allclose(numpy(loaded.losses[0]), numpy(model.losses[0]), rtol=1e-6)


def test_it_trains_under_float16_and_in_recurrent_layers():
    for layer in (
        keras.layers.Dense(3, kernel_regularizer=GroupLasso(0.1), dtype="float16"),
        keras.layers.GRU(3, recurrent_regularizer=GroupLasso(0.1, axis=-1), return_sequences=True),
    ):
        model = keras.Sequential([keras.Input((5, 4)), layer])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        losses = model.fit(np.ones((2, 5, 4)), np.ones((2, 5, 3)), verbose=0).history["loss"]
        assert np.isfinite(losses).all()


def test_wrong_arguments_are_refused():
    for factor in (-1.0, float("nan"), float("inf"), "strong", True):
        with pytest.raises(ValueError, match=r"`factor` of GroupLasso must be a finite.*Received: factor="):
            GroupLasso(factor)
    for axis in ("inputs", 1.0, [], [0, None], True):
        with pytest.raises(ValueError, match=r"`axis` of GroupLasso must be an integer or a list.*Received: axis="):
            GroupLasso(axis=axis)
    for axis in (2, -3, (0, -2)):
        with pytest.raises(ValueError, match=r"different axes of the weights, from -2 to 1. Received: axis=.*\(4, 3\)"):
            GroupLasso(axis=axis)(keras.ops.ones((4, 3)))
