"""`InstanceNormalization` against its formula, Keras's group normalization and its own laws."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_normpack import InstanceNormalization
from keras_normpack.autodiff import outputs_and_gradients
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.tensors import EXACT, float64


def formula(axis=-1, epsilon=1e-3):
    def compute(inputs, weights):
        positions = tuple(other for other in range(1, inputs.ndim) if other != axis % inputs.ndim)
        mean, variance = inputs.mean(positions, keepdims=True), inputs.var(positions, keepdims=True)
        shape = [-1 if other == axis % inputs.ndim else 1 for other in range(inputs.ndim)]
        gamma = weights.get("gamma", np.ones(1)).reshape(shape)
        beta = weights.get("beta", np.zeros(1)).reshape(shape)
        return gamma * (inputs - mean) / np.sqrt(variance + epsilon) + beta

    return compute


def normalized(inputs, mask=None, **arguments):
    return ops.convert_to_numpy(InstanceNormalization(dtype="float64", **arguments)(float64(inputs), mask=mask))


@pytest.mark.parametrize(
    ("arguments", "shape", "dynamic_axes"),
    [
        ({}, (2, 5, 6, 3), (1, 2)),
        ({}, (2, 7, 3), (1,)),
        ({}, (2, 2, 3, 4, 3), (1, 2, 3)),
        ({"axis": 1}, (2, 3, 5, 6), (2, 3)),
        ({"axis": 2, "epsilon": 0.1}, (2, 5, 3, 6), ()),
        ({"center": False}, (2, 4, 4, 3), ()),
        ({"scale": False}, (2, 4, 4, 3), ()),
        ({"beta_regularizer": "l2", "gamma_constraint": "non_neg"}, (2, 4, 4, 3), ()),
    ],
)
def test_conforms(arguments, shape, dynamic_axes):
    expected = formula(arguments.get("axis", -1), arguments.get("epsilon", 1e-3))
    check_layer(InstanceNormalization, arguments, shape, dynamic_axes=dynamic_axes, expected=expected)


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    batch=st.integers(1, 3),
    channels=st.integers(1, 5),
    seed=st.integers(0, 99),
)
@settings(max_examples=15, deadline=None)
def test_each_sample_and_channel_is_normalized_by_itself(sizes, batch, channels, seed):
    inputs = np.random.default_rng(seed).normal(2.0, 3.0, (batch, *sizes, channels))
    outputs = normalized(inputs)
    np.testing.assert_allclose(outputs, formula()(inputs, {}), atol=100 * EXACT)
    np.testing.assert_allclose(outputs[:1, ..., :1], normalized(inputs[:1, ..., :1]), atol=100 * EXACT)


@given(seed=st.integers(0, 99), factor=st.floats(0.1, 10), shift=st.floats(-10, 10))
@settings(max_examples=15, deadline=None)
def test_an_affine_change_of_the_inputs_changes_nothing(seed, factor, shift):
    inputs = np.random.default_rng(seed).normal(size=(2, 4, 3, 2))
    changed = normalized(factor * inputs + shift, epsilon=1e-14)
    np.testing.assert_allclose(changed, normalized(inputs, epsilon=1e-14), atol=1000 * EXACT)


def test_is_group_normalization_with_one_channel_per_group_gradients_too():
    generator = np.random.default_rng(0)
    inputs, cotangent = generator.normal(1.0, 2.0, (2, 3, 5, 4, 6)).astype("float32")
    results = []
    for layer in (InstanceNormalization(), keras.layers.GroupNormalization(-1)):
        layer.build(inputs.shape)
        outputs, gradients = outputs_and_gradients(
            lambda x, gamma, beta, layer=layer: layer.stateless_call([gamma, beta], [], x),
            [ops.convert_to_tensor(inputs), *(ops.copy(weight.value) for weight in layer.weights)],
            ops.convert_to_tensor(cotangent),
        )
        results.append([ops.convert_to_numpy(outputs[0]), *gradients])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * abs(theirs).max())


def test_weights_are_gamma_then_beta():
    layer = InstanceNormalization()
    layer.build((None, 4, 4, 3))
    assert [(weight.name, tuple(weight.shape)) for weight in layer.weights] == [("gamma", (3,)), ("beta", (3,))]


def test_statistics_are_float32_under_mixed_precision():
    inputs = np.random.default_rng(0).normal(0.0, 2000.0, (2, 32, 32, 3)).astype("float16")
    layer = InstanceNormalization(dtype="mixed_float16")
    outputs = ops.convert_to_numpy(layer(inputs))
    assert layer.gamma.dtype == "float32"
    np.testing.assert_allclose(outputs, formula()(inputs.astype("float64"), {}), atol=2e-3)


@pytest.mark.parametrize("axis", [-1, 1])
def test_masked_steps_do_not_count(axis):
    values = np.random.default_rng(0).normal(3.0, 2.0, (2, 7, 4))
    lengths = [7, 4]
    mask = np.arange(7) < np.array(lengths)[:, None]
    inputs = values if axis == -1 else values.transpose(0, 2, 1)
    outputs = normalized(inputs, mask=mask, axis=axis)
    outputs = outputs if axis == -1 else outputs.transpose(0, 2, 1)
    for sample, length in enumerate(lengths):
        alone = formula()(values[sample : sample + 1, :length], {})[0]
        np.testing.assert_allclose(outputs[sample, :length], alone, atol=10 * EXACT)


def test_a_mask_over_the_outer_axis_covers_the_inner_ones():
    inputs = np.random.default_rng(0).normal(3.0, 2.0, (2, 5, 4, 4, 3))
    mask = np.arange(5) < np.array([[5], [2]])
    outputs = normalized(inputs, mask=mask)
    np.testing.assert_allclose(outputs[1, :2], formula()(inputs[1:, :2], {})[0], atol=10 * EXACT)


def test_a_sample_without_a_valid_step_stays_finite_and_has_finite_gradients():
    inputs = ops.convert_to_tensor(np.random.default_rng(0).normal(3.0, 2.0, (2, 5, 3)).astype("float32"))
    mask = np.array([[True] * 5, [False] * 5])
    layer = InstanceNormalization()
    layer.build(inputs.shape)
    outputs, (gradient,) = outputs_and_gradients(lambda x: layer(x, mask=mask), [inputs], ops.ones_like(inputs))
    assert np.isfinite(ops.convert_to_numpy(outputs)).all()
    assert np.isfinite(gradient).all()


def test_masked_steps_get_no_weight_in_a_recurrent_model():
    """What the mask hides changes nothing behind it."""
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, keras.layers.LSTM(4)(InstanceNormalization()(keras.layers.Masking()(inputs))))
    series = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    padded = np.concatenate([series, np.zeros((2, 3, 3), "float32")], axis=1)
    np.testing.assert_allclose(model.predict(padded, verbose=0), model.predict(series, verbose=0), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axis": 0}, r"`axis` .* must be an integer other than 0.*Received: axis=0"),
        ({"axis": (1, 2)}, r"`axis` .* must be an integer.*Received: axis=\(1, 2\)"),
        ({"epsilon": 0}, r"`epsilon` .* above 0.*Received: epsilon=0"),
        ({"epsilon": -1e-3}, r"Received: epsilon=-0.001"),
    ],
)
def test_wrong_arguments_raise_when_the_layer_is_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        InstanceNormalization(**arguments)


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        ({}, (None, 8), r"'norm' .* at least 3 axes.*Received: input_shape=\(None, 8\)"),
        ({"axis": 4}, (None, 8, 8, 3), r"`axis` of InstanceNormalization 'norm' .* from 1 to 3.*Received: axis=4"),
        ({"axis": -4}, (None, 8, 8, 3), r"Received: axis=-4"),
        ({}, (None, 8, 8, None), r"known number of channels on axis -1.*Received: input_shape=\(None, 8, 8, None\)"),
    ],
)
def test_wrong_shapes_raise_when_the_layer_is_built(arguments, shape, message):
    with pytest.raises(ValueError, match=message):
        InstanceNormalization(name="norm", **arguments).build(shape)


@pytest.mark.parametrize(("axis", "shape"), [(5, (None, 8, 8, 3)), (-1, (None, 8))])
def test_wrong_shapes_raise_when_the_output_shape_is_asked_for(axis, shape):
    with pytest.raises(ValueError, match="Received: "):
        InstanceNormalization(axis=axis).compute_output_shape(shape)
