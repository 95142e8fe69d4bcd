"""The native batch normalization computes what its reference does, and is chosen where it was measured to be faster."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack.kernels import Call, choose, kernels
from keras_normpack.testing import check_kernel

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("about TensorFlow's own operation", allow_module_level=True)

from keras_normpack.kernels.tensorflow import batch_normalization  # noqa: E402

LARGE = (32, 16, 16, 32)


def test_there_is_a_kernel_to_check():
    native, _ = kernels("batch_normalization")
    assert native.function is batch_normalization.native


@pytest.mark.parametrize(
    ("shapes", "axis"),
    [
        ([(4, 7, 5, 6), (3, 9, 4), (8, 5), (2, 3, 4, 5, 6), (2, 1, 1, 3)], -1),
        ([(4, 6, 7, 5), (3, 4, 9), (2, 3, 4, 5, 6)], 1),
        ([(4, 6, 7, 5)], 2),
    ],
)
def test_agrees_with_the_reference(shapes, axis):
    check_kernel("batch_normalization", shapes, axis=axis)


def test_variance_is_that_of_the_population():
    inputs = np.random.default_rng(0).normal(3.0, 2.0, (2, 3, 2, 4))
    _, mean, variance = batch_normalization.native(tf.constant(inputs, "float32"), None, None, axis=-1, epsilon=1e-3)
    np.testing.assert_allclose(mean, inputs.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance, inputs.var((0, 1, 2)), rtol=1e-6)


def test_statistics_of_half_precision_inputs_are_float32():
    inputs = tf.cast(np.random.default_rng(0).normal(100.0, 1.0, (8, 16, 16, 4)), "bfloat16")
    exact = ops.convert_to_numpy(ops.cast(inputs, "float64"))
    _, mean, variance = batch_normalization.native(inputs, None, None, axis=-1, epsilon=1e-3)
    assert mean.dtype == variance.dtype == tf.float32
    np.testing.assert_allclose(mean, exact.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var((0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (0, 4, 3), (0, 3)])
def test_an_empty_batch_keeps_its_shape(shape):
    outputs, _, _ = batch_normalization.native(tf.zeros(shape), None, None, axis=-1, epsilon=1e-3)
    assert tuple(outputs.shape) == shape


def test_static_shape_survives_unknown_sizes():
    @tf.function(input_signature=[tf.TensorSpec((None, None, 5, 2, 3))])
    def normalize(inputs):
        outputs, _, _ = batch_normalization.native(inputs, None, None, axis=-1, epsilon=1e-3)
        assert outputs.shape.as_list() == [None, None, 5, 2, 3]
        return outputs

    assert tuple(normalize(tf.zeros((2, 4, 5, 2, 3))).shape) == (2, 4, 5, 2, 3)


@pytest.mark.parametrize(
    ("shape", "dtype", "axis", "chosen"),
    [
        (LARGE, "float32", -1, True),
        (LARGE, "bfloat16", -1, True),
        (LARGE, "float16", -1, True),
        (LARGE, "float64", -1, False),
        ((32, 32, 16, 16), "float32", 1, True),
        ((None, 28, 28, 16), "float32", -1, True),
        ((None, None, None, 64), "float32", -1, True),
        ((None, 128), "float32", -1, False),
        ((32, 256), "float32", -1, False),
        ((8, 4, 4, 32), "float32", -1, False),
        ((64, 128, 128, 3), "float32", -1, False),
    ],
)
def test_chosen_where_measured_to_be_faster(shape, dtype, axis, chosen):
    tensor = keras.KerasTensor(shape, dtype)
    assert (choose("batch_normalization", Call.of(tensor, axis)) is not None) == chosen


def test_not_chosen_beside_another_device(monkeypatch):
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda: [gpu])
    assert choose("batch_normalization", Call(LARGE, "float32", 3)) is None
