"""Ghost batches are groups of consecutive samples, each normalized as a batch of its own."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import BatchNormalization, kernels
from keras_normpack.testing import check_layer
from keras_normpack.testing.closeness import tolerance
from tests.keras_normpack.layers.drop_in import assert_same, data, float64, passes, random_weights


def group_by_group(size, inputs, cotangent, weights, **arguments):
    """Every group by itself, ungrouped: outputs, gradients, and the statistics weighted by their samples."""
    results, shares = [], []
    for start in range(0, inputs.shape[0], size):
        group = inputs[start : start + size]
        layer = BatchNormalization(**arguments, momentum=0.0)
        layer.build(group.shape)
        layer.set_weights(weights)
        results.append(passes(layer, group, cotangent[start : start + size], training=True))
        shares.append(group.shape[0] / inputs.shape[0])
    outputs, to_inputs, *averaged = zip(*results, strict=True)
    # Gradients to weights come as means over positions, so they are weighted like the statistics.
    means = [sum(share * value for share, value in zip(shares, values, strict=True)) for values in averaged]
    return [np.concatenate(outputs), np.concatenate(to_inputs), *means]


def compare(shape, size, tolerance, dtype="float64", momentum=0.8, **arguments):
    inputs, cotangent = data(shape, keras.DTypePolicy(dtype).compute_dtype)
    layer = BatchNormalization(virtual_batch_size=size, momentum=momentum, dtype=dtype, **arguments)
    layer.build(shape)
    weights = random_weights(layer)
    layer.set_weights(weights)
    actual = passes(layer, inputs, cotangent, training=True)
    *desired, mean, variance = group_by_group(size, inputs, cotangent, weights, dtype=dtype, **arguments)
    averages = [momentum * old + (1 - momentum) * new for old, new in zip(weights[-2:], (mean, variance), strict=True)]
    assert_same(actual, [*desired, *averages], tolerance)


@pytest.mark.parametrize(
    ("shape", "axis", "size"),
    [
        ((6, 2, 3, 4), -1, 3),
        ((7, 3, 4), -1, 3),
        ((5, 4, 3), 1, 2),
        ((3, 2, 2), -1, 1),
        ((3, 5), -1, 8),
        ((7, 2), -1, 4),
    ],
)
def test_every_group_is_a_batch_of_its_own(shape, axis, size):
    compare(shape, size, tolerance("float64"), axis=axis)


@pytest.mark.parametrize("arguments", [{"center": False}, {"scale": False}, {"epsilon": 0.1}, {"axis": 2}])
def test_whatever_the_arguments(arguments):
    compare((5, 3, 4, 2), 2, tolerance("float64"), **arguments)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("batch", [64, 40])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 8e-3)])
def test_where_the_kernel_runs_on_each_group(batch, dtype, tolerance):
    shape = (batch, 16, 16, 32)
    assert kernels.choose("batch_normalization", kernels.Call((16, *shape[1:]), "float32", 3)) is not None
    compare(shape, 16, tolerance, dtype=dtype)


def test_where_no_kernel_runs_statistics_are_float32_under_mixed_precision():
    layer = BatchNormalization(virtual_batch_size=4, momentum=0.0, dtype="mixed_float16")
    inputs = np.random.default_rng(0).normal(0.0, 1000.0, (8, 5, 3)).astype("float16")
    outputs = layer(inputs, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    assert np.isfinite(float64(outputs)).all()
    desired = np.mean([inputs[:4].astype("float64").var((0, 1)), inputs[4:].astype("float64").var((0, 1))], axis=0)
    np.testing.assert_allclose(float64(layer.moving_variance), desired, rtol=1e-5)


def test_one_group_for_the_whole_batch_is_plain_batch_normalization():
    inputs, cotangent = data((6, 4, 3))
    layers = [keras.layers.BatchNormalization()]
    layers += [BatchNormalization(virtual_batch_size=size) for size in (6, 9)]
    plain, *one_group = [passes(layer_built(layer, inputs.shape), inputs, cotangent, training=True) for layer in layers]
    for results in one_group:
        assert_same(results, plain, tolerance=1e-5)


def layer_built(layer, shape):
    layer.build(shape)
    return layer


def test_inference_is_that_of_keras():
    inputs, _ = data((5, 4, 3))
    outputs = []
    for layer in (BatchNormalization(virtual_batch_size=2), keras.layers.BatchNormalization()):
        layer.build(inputs.shape)
        layer.set_weights(random_weights(layer))
        outputs.append(float64(layer(inputs)))
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("jit_compile", [False, "auto"])
def test_trains_on_batches_whose_size_the_graph_does_not_know(jit_compile):
    """The last batch has 3 samples, a group and a half."""
    inputs = np.random.default_rng(0).normal(size=(11, 5, 3)).astype("float32")
    targets = np.random.default_rng(1).normal(size=(11, 5, 3)).astype("float32")
    model = keras.Sequential([keras.Input((None, 3)), BatchNormalization(virtual_batch_size=2, momentum=0.5)])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
    model.fit(inputs, targets, batch_size=8, shuffle=False, verbose=0)
    mean, variance = np.zeros(3), np.ones(3)
    for batch in (inputs[:8], inputs[8:]):
        groups = [batch[start : start + 2] for start in range(0, len(batch), 2)]
        shares = [len(group) / len(batch) for group in groups]
        mean = 0.5 * mean + 0.5 * sum(s * group.mean((0, 1)) for s, group in zip(shares, groups, strict=True))
        variance = 0.5 * variance + 0.5 * sum(s * group.var((0, 1)) for s, group in zip(shares, groups, strict=True))
    np.testing.assert_allclose(float64(model.layers[0].moving_mean), mean, atol=1e-6)
    np.testing.assert_allclose(float64(model.layers[0].moving_variance), variance, atol=1e-6)
    assert np.isfinite(float64(model.layers[0].gamma)).all()


def test_an_empty_batch_changes_nothing():
    layer = layer_built(BatchNormalization(virtual_batch_size=2), (None, 4, 3))
    outputs = layer(ops.zeros((0, 4, 3)), training=True)
    assert tuple(outputs.shape) == (0, 4, 3)
    np.testing.assert_array_equal(float64(layer.moving_mean), np.zeros(3))
    np.testing.assert_array_equal(float64(layer.moving_variance), np.ones(3))


def test_conforms_in_its_config():
    config = BatchNormalization(virtual_batch_size=4).get_config()
    assert config["virtual_batch_size"] == 4
    assert BatchNormalization.from_config(config).virtual_batch_size == 4
    assert "virtual_batch_size" not in BatchNormalization().get_config()
    check_layer(BatchNormalization, {"virtual_batch_size": 2, "axis": 1}, (3, 4, 5))


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "4"])
def test_a_wrong_size_raises_when_the_layer_is_made(size):
    with pytest.raises(ValueError, match=r"`virtual_batch_size` of BatchNormalization .* integer from 1\. Received: "):
        BatchNormalization(virtual_batch_size=size)


@pytest.mark.parametrize(
    "other", [{"renorm": True}, pytest.param({"synchronized": True}, marks=pytest.mark.tensorflow_only)]
)
def test_does_not_go_with_statistics_of_more_than_the_batch(other):
    with pytest.raises(
        ValueError, match=r"`virtual_batch_size` of BatchNormalization .* Received: virtual_batch_size=4"
    ):
        BatchNormalization(virtual_batch_size=4, **other)


def test_does_not_go_with_a_mask_in_training():
    layer = BatchNormalization(virtual_batch_size=2, name="norm")
    inputs, mask = np.zeros((4, 5, 3), "float32"), np.ones((4, 5), bool)
    assert tuple(layer(inputs, mask=mask).shape) == (4, 5, 3)
    with pytest.raises(ValueError, match=r"'norm' has `virtual_batch_size`.* Received: virtual_batch_size=2"):
        layer(inputs, mask=mask, training=True)
