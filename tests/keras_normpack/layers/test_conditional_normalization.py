"""`ConditionalNormalization` against its formula and the layers it wraps."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_normpack import ConditionalNormalization, FilterResponseNormalization, InstanceNormalization
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.tensors import EXACT, float64


def instance(axis=-1):
    return InstanceNormalization(axis=axis, center=False, scale=False)


def formula(axis=-1):
    def compute(inputs, weights):
        x, condition = inputs
        positions = tuple(other for other in range(1, x.ndim) if other != axis % x.ndim)
        normalized = (x - x.mean(positions, keepdims=True)) / np.sqrt(x.var(positions, keepdims=True) + 1e-3)
        if condition.ndim == 2:
            condition = np.expand_dims(condition, positions)
        projected = np.moveaxis(condition, axis, -1) @ weights["projection/kernel"]
        projected = projected + weights.get("projection/bias", 0.0)
        scale, offset = np.split(np.moveaxis(projected, -1, axis), 2, axis=axis)
        return (1 + scale) * normalized + offset

    return compute


@pytest.mark.parametrize(
    ("arguments", "shapes", "dynamic_axes", "axis"),
    [
        ({"layer": instance()}, [(2, 5, 6, 3), (2, 4)], (), -1),
        ({"layer": instance(), "use_bias": False}, [(2, 7, 3), (2, 7, 4)], (1,), -1),
        ({"layer": instance(), "kernel_regularizer": "l2"}, [(2, 4, 3, 2), (2, 1, 3, 5)], (), -1),
        ({"layer": instance(1)}, [(2, 3, 5, 4), (2, 2)], (), 1),
        ({"layer": instance(1)}, [(2, 3, 5, 4), (2, 6, 5, 4)], (2, 3), 1),
    ],
)
def test_conforms(arguments, shapes, dynamic_axes, axis):
    check_layer(ConditionalNormalization, arguments, shapes, dynamic_axes=dynamic_axes, expected=formula(axis))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.BatchNormalization(center=False, scale=False),
        lambda: layers.LayerNormalization(center=False, scale=False),
        lambda: layers.GroupNormalization(2, axis=1),
        lambda: layers.RMSNormalization(),
        lambda: layers.UnitNormalization(),
        lambda: FilterResponseNormalization(),
    ],
    ids=["batch", "layer", "group", "rms", "unit", "filter_response"],
)
@pytest.mark.parametrize("training", [False, True])
def test_begins_as_the_wrapped_layer(make, training):
    generator = np.random.default_rng(0)
    inputs = generator.normal(1.0, 2.0, (3, 4, 6)).astype("float32")
    condition = generator.normal(size=(3, 5)).astype("float32")
    outputs = ConditionalNormalization(make())([inputs, condition], training=training)
    desired = make()(inputs, training=training)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), ops.convert_to_numpy(desired), atol=1e-6)


def test_a_built_and_trained_wrapped_layer_is_saved_with_its_state(tmp_path):
    inputs, condition = keras.Input((4, 6)), keras.Input((5,))
    layer = ConditionalNormalization(layers.LayerNormalization(), kernel_initializer="glorot_uniform")
    model = keras.Model([inputs, condition], layer([inputs, condition]))
    generator = np.random.default_rng(0)
    batch = [generator.normal(size=(3, 4, 6)), generator.normal(size=(3, 5))]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.predict(batch, verbose=0), model.predict(batch, verbose=0))


def test_batch_statistics_are_averaged_inside():
    layer = ConditionalNormalization(layers.BatchNormalization(momentum=0.0))
    inputs = np.random.default_rng(0).normal(5.0, 2.0, (64, 3)).astype("float32")
    layer([inputs, np.zeros((64, 2))], training=True)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.layer.moving_mean), inputs.mean(axis=0), atol=1e-4)


def test_an_integer_condition_goes_through_an_embedding():
    images, label = keras.Input((4, 4, 3)), keras.Input((), dtype="int32")
    layer = ConditionalNormalization(instance(), kernel_initializer="glorot_uniform")
    model = keras.Model([images, label], layer([images, layers.Embedding(3, 8)(label)]))
    batch = np.repeat(np.random.default_rng(0).normal(size=(1, 4, 4, 3)), 3, axis=0)
    outputs = model.predict([batch, np.array([0, 1, 0])], verbose=0)
    np.testing.assert_allclose(outputs[0], outputs[2], atol=1e-5)
    assert abs(outputs[0] - outputs[1]).max() > 1e-3


def test_masked_steps_do_not_count_and_the_mask_goes_on():
    values = np.random.default_rng(0).normal(3.0, 2.0, (2, 7, 4))
    values[1, 4:] = 0.0
    layer = ConditionalNormalization(instance(), dtype="float64")
    layer.layer.dtype_policy = "float64"
    masked = layers.Masking(dtype="float64")(float64(values))
    outputs = layer([masked, float64(np.ones((2, 3)))])
    alone = values[1, :4]
    alone = (alone - alone.mean(axis=0)) / np.sqrt(alone.var(axis=0) + 1e-3)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs)[1, :4], alone, atol=10 * EXACT)
    averaged = layers.GlobalAveragePooling1D(dtype="float64")(outputs)
    np.testing.assert_allclose(ops.convert_to_numpy(averaged)[1], alone.mean(axis=0), atol=10 * EXACT)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConditionalNormalization("batch"), r"`layer` of ConditionalNormalization .*Received: layer='batch'"),
        (lambda: ConditionalNormalization(instance(), axis=0), r"`axis` .*Received: axis=0"),
        (
            lambda: ConditionalNormalization(FilterResponseNormalization(axis=[2, 3])),
            r"`axis` .*name the channel axis.* is a list, \[2, 3\]. Received: axis=None",
        ),
    ],
)
def test_wrong_arguments_raise_when_the_layer_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ((None, 8, 3), r"'norm' takes a list of two inputs, `layer\(\[inputs, condition\]\)`"),
        ([(None, 8, 3), (None, 7, 4)], r"'norm' needs a condition of shape .*Received: input_shape=\[\(None, 8, 3\)"),
        ([(None, 8, 3), (None, 8, 8, 4)], r"needs a condition of shape"),
        ([(None, 8, 3), (None, None)], r"known number of channels"),
        ([(None, 8, None), (None, 4)], r"known number of channels"),
    ],
)
def test_wrong_shapes_raise(shapes, message):
    layer = ConditionalNormalization(instance(), name="norm")
    with pytest.raises(ValueError, match=message):
        layer.build(shapes)
    with pytest.raises(ValueError, match=message):
        layer.compute_output_shape(shapes)
