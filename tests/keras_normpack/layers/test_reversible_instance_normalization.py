"""`ReversibleInstanceNormalization` against its formula, the authors' torch code and its own laws."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_normpack import ReversibleInstanceNormalization
from keras_normpack.testing import check_layer
from tests.keras_normpack.layers.tensors import EXACT, float64


@keras.saving.register_keras_serializable(package="keras_normpack_tests")
class SquashedForecast(keras.layers.Layer):
    """Normalizes, squashes every second step, and denormalizes: a forecaster of half the length, with one output."""

    def __init__(self, **kwargs):
        own = {key: kwargs.pop(key) for key in ("name", "trainable") if key in kwargs}
        super().__init__(dtype=kwargs.get("dtype"), **own)
        self.arguments = {key: value for key, value in kwargs.items() if key != "dtype"}
        self.revin = ReversibleInstanceNormalization(**kwargs)
        self.supports_masking = False
        self.autocast = False

    def build(self, input_shape):
        self.revin.build(input_shape)

    def call(self, inputs):
        normalized, statistics = self.revin(inputs)
        return self.revin.denormalize(ops.tanh(normalized[:, ::2]), statistics)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], None if input_shape[1] is None else (input_shape[1] + 1) // 2, input_shape[2])

    def get_config(self):
        return {**super().get_config(), **self.arguments}


def normalized_by_formula(inputs, weights, epsilon=1e-5, subtract_last=False):
    level = inputs[:, -1:] if subtract_last else inputs.mean(axis=1, keepdims=True)
    deviation = np.sqrt(inputs.var(axis=1, keepdims=True) + epsilon)
    gamma, beta = weights.get("gamma", 1.0), weights.get("beta", 0.0)
    return gamma * (inputs - level) / deviation + beta, np.concatenate([level, deviation], axis=1)


def formula(epsilon=1e-5, subtract_last=False):
    def compute(inputs, weights):
        weights = {path.split("/")[-1]: value for path, value in weights.items()}
        normalized, statistics = normalized_by_formula(inputs, weights, epsilon, subtract_last)
        level, deviation = statistics[:, :1], statistics[:, 1:]
        gamma, beta = weights.get("gamma", 1.0), weights.get("beta", 0.0)
        return (np.tanh(normalized[:, ::2]) - beta) / gamma * deviation + level

    return compute


@pytest.mark.parametrize(
    ("arguments", "shape", "dynamic_axes"),
    [
        ({}, (2, 7, 3), (1,)),
        ({"epsilon": 0.1, "gamma_regularizer": "l2"}, (3, 6, 2), ()),
        ({"subtract_last": True}, (2, 7, 3), (1,)),
        ({"center": False, "scale": False}, (2, 5, 3), ()),
    ],
)
def test_conforms(arguments, shape, dynamic_axes):
    expected = formula(arguments.get("epsilon", 1e-5), arguments.get("subtract_last", False))
    check_layer(SquashedForecast, arguments, shape, dynamic_axes=dynamic_axes, expected=expected)


@pytest.mark.parametrize("subtract_last", [False, True])
def test_gives_normalized_series_and_statistics(subtract_last):
    inputs = np.random.default_rng(0).normal(3.0, 2.0, (2, 9, 3))
    layer = ReversibleInstanceNormalization(subtract_last=subtract_last, dtype="float64")
    outputs = [ops.convert_to_numpy(output) for output in layer(float64(inputs))]
    for actual, desired in zip(outputs, normalized_by_formula(inputs, {}, subtract_last=subtract_last), strict=True):
        np.testing.assert_allclose(actual, desired, atol=10 * EXACT)
    assert tuple(output.shape for output in outputs) == layer.compute_output_shape((2, 9, 3))
    assert layer.compute_output_shape((2, 4, 3), (2, 2, 3)) == (2, 4, 3)


@given(
    seed=st.integers(0, 99),
    steps=st.integers(1, 9),
    features=st.integers(1, 4),
    subtract_last=st.booleans(),
    level=st.floats(-100, 100),
)
@settings(max_examples=20, deadline=None)
def test_there_and_back_is_exact_to_rounding(seed, steps, features, subtract_last, level):
    inputs = np.random.default_rng(seed).normal(level, 2.0, (2, steps, features))
    layer = ReversibleInstanceNormalization(subtract_last=subtract_last, dtype="float64")
    layer.build(inputs.shape)
    layer.set_weights([np.linspace(0.5, 2.0, features), np.linspace(-1.0, 1.0, features)])
    back = layer.denormalize(*layer(float64(inputs)))
    np.testing.assert_allclose(ops.convert_to_numpy(back), inputs, atol=100 * EXACT)


@pytest.mark.parametrize("arguments", [{}, {"center": False, "scale": False}])
def test_is_the_authors_torch_code(arguments):
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    series, forecast = generator.normal(5.0, 3.0, (2, 12, 3)), generator.normal(size=(2, 4, 3))
    gamma, beta = (np.ones(3), np.zeros(3)) if arguments else (np.array([0.5, 1.0, 2.0]), np.array([1.0, 0.0, -1.0]))
    x = torch.tensor(series)
    mean = torch.mean(x, dim=1, keepdim=True)
    deviation = torch.sqrt(torch.var(x, dim=1, keepdim=True, unbiased=False) + 1e-5)
    normalized = (x - mean) / deviation * torch.tensor(gamma) + torch.tensor(beta)
    # The guard that the authors add to gamma.
    back = (torch.tensor(forecast) - torch.tensor(beta)) / (torch.tensor(gamma) + 1e-10) * deviation + mean
    layer = ReversibleInstanceNormalization(dtype="float64", **arguments)
    layer.build(series.shape)
    layer.set_weights([] if arguments else [gamma, beta])
    ours, statistics = layer(float64(series))
    np.testing.assert_allclose(ops.convert_to_numpy(ours), normalized.numpy(), atol=10 * EXACT)
    denormalized = ops.convert_to_numpy(layer.denormalize(float64(forecast), statistics))
    np.testing.assert_allclose(denormalized, back.numpy(), atol=1e-8 + 10 * EXACT)


def forecaster(horizon=3):
    """Two series through one layer, with a forecast of another length each."""
    revin = ReversibleInstanceNormalization(name="revin")
    swap = keras.layers.Permute((2, 1))
    inputs = [keras.Input((8, 2)), keras.Input((6, 2))]
    outputs = []
    for one in inputs:
        normalized, statistics = revin(one)
        outputs.append(revin.denormalize(swap(keras.layers.Dense(horizon)(swap(normalized))), statistics))
    return keras.Model(inputs, outputs)


def test_a_functional_model_keeps_the_pair_when_saved_loaded_and_cloned(tmp_path):
    model = forecaster()
    generator = np.random.default_rng(0)
    batch = [generator.normal(4.0, 2.0, (4, 8, 2)), generator.normal(-9.0, 5.0, (4, 6, 2))]
    model.compile("adam", "mse")
    model.fit(batch, [part[:, :3] for part in batch], verbose=0)
    desired = model.predict(batch, verbose=0)
    assert [output.shape for output in desired] == [(4, 3, 2)] * 2
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for copy in (loaded, clone):
        assert len(copy.get_layer("revin").weights) == 2
        assert len(copy.weights) == len(model.weights)
        for actual, expected in zip(copy.predict(batch, verbose=0), desired, strict=True):
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("subtract_last", [False, True])
def test_masked_steps_do_not_count(subtract_last):
    values = np.random.default_rng(0).normal(3.0, 2.0, (3, 7, 4))
    lengths = [7, 4, 0]
    mask = np.arange(7) < np.array(lengths)[:, None]
    layer = ReversibleInstanceNormalization(subtract_last=subtract_last, dtype="float64")
    normalized, statistics = (ops.convert_to_numpy(out) for out in layer(float64(values), mask=mask))
    for sample, length in enumerate(lengths[:2]):
        alone, of_alone = normalized_by_formula(values[sample : sample + 1, :length], {}, subtract_last=subtract_last)
        np.testing.assert_allclose(normalized[sample, :length], alone[0], atol=10 * EXACT)
        np.testing.assert_allclose(statistics[sample], of_alone[0], atol=10 * EXACT)
    assert np.isfinite(normalized).all()


def test_the_mask_goes_on_with_the_normalized_series():
    inputs = keras.Input((None, 3))
    normalized, statistics = ReversibleInstanceNormalization()(keras.layers.Masking()(inputs))
    model = keras.Model(inputs, [keras.layers.GRU(4)(normalized), statistics])
    series = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    padded = np.concatenate([series, np.zeros((2, 3, 3), "float32")], axis=1)
    for actual, desired in zip(model.predict(padded, verbose=0), model.predict(series, verbose=0), strict=True):
        np.testing.assert_allclose(actual, desired, atol=1e-6)


def test_a_series_beyond_float16_survives_mixed_precision():
    series = np.random.default_rng(0).normal(1e6, 1e5, (2, 12, 3)).astype("float32")
    layer = ReversibleInstanceNormalization(dtype="mixed_float16")
    normalized, statistics = layer(series)
    dtypes = [keras.backend.standardize_dtype(tensor.dtype) for tensor in (normalized, statistics)]
    assert dtypes == ["float16", "float32"]
    desired, _ = normalized_by_formula(series.astype("float64"), {})
    np.testing.assert_allclose(ops.convert_to_numpy(normalized), desired, atol=2e-3)
    symbols = layer(keras.Input((12, 3)))
    assert [symbol.dtype for symbol in symbols] == dtypes


def test_weights_are_gamma_then_beta():
    layer = ReversibleInstanceNormalization()
    layer.build((None, 12, 3))
    assert [(weight.name, tuple(weight.shape)) for weight in layer.weights] == [("gamma", (3,)), ("beta", (3,))]


def test_wrong_use_raises():
    with pytest.raises(ValueError, match=r"`epsilon` of ReversibleInstanceNormalization .*Received: epsilon=0"):
        ReversibleInstanceNormalization(epsilon=0)
    layer = ReversibleInstanceNormalization(name="revin")
    with pytest.raises(ValueError, match=r"'revin' .*\(batch, time, features\).*Received: input_shape=\(None, 8\)"):
        layer.build((None, 8))
    with pytest.raises(ValueError, match="known number of channels"):
        layer.build((None, 8, None))
    _, statistics = layer(np.ones((2, 8, 3)))
    with pytest.raises(ValueError, match=r"`statistics` of .* 'revin' .*\(batch, 2, 3\).*Received: .*\(2, 2, 1\)"):
        layer.denormalize(np.ones((2, 4, 3)), statistics[:, :, :1])
