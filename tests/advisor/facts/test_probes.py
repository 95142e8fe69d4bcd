"""The measured effective samples against their definition, and the measuring's bounds."""

import time

import keras
import numpy as np
import pytest
from keras import layers

from advisor.facts.probes import independent_values, make_probes
from advisor.facts.read_data import read_data
from advisor.graph import read_graph

GENERATOR = np.random.default_rng(0)


def measure(model, x, path, *, batch_size=8, **options):
    graph = read_graph(model)
    probes = make_probes(graph, read_data(x, graph, batch_size=batch_size), batch_size=batch_size, **options)
    return probes["batch_dispersion"](path)


def norm_on(shape, **options):
    return keras.Sequential([keras.Input(shape), layers.BatchNormalization(name="norm", **options)])


def normalization_noise(maps, batch_size, draws=3000):
    """Mean squared change of normalized activations when the statistics are a batch's: by drawing batches."""
    mean, deviation = maps.mean(axis=(0, 1)), maps.std(axis=(0, 1))
    noise = 0
    for _ in range(draws):
        batch = maps[GENERATOR.integers(0, len(maps), batch_size)]
        shift, scale = batch.mean(axis=(0, 1)) - mean, batch.std(axis=(0, 1)) - deviation
        noise += (shift**2 + scale**2) / deviation**2
    return noise / draws


def correlated(samples, positions, channels, share):
    """Feature maps whose values share a part of their variance within a sample."""
    common = GENERATOR.normal(size=(samples, 1, channels))
    own = GENERATOR.normal(size=(samples, positions, channels))
    return np.sqrt(share) * common + np.sqrt(1 - share) * own


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_the_formula_is_the_definition(share):
    maps = correlated(2000, 12, 1, share) * 3 + 7
    values = independent_values(maps.mean(axis=1), maps.var(axis=1))
    assert 16 * values[0] == pytest.approx(1.5 / normalization_noise(maps, 16)[0], rel=0.12)


def test_independent_positions_count_each_and_identical_ones_once():
    assert measure(norm_on((4, 4, 32)), GENERATOR.normal(size=(512, 4, 4, 32)), "norm").value == pytest.approx(
        8 * 16, rel=0.1
    )
    same = np.broadcast_to(GENERATOR.normal(size=(512, 1, 1, 32)), (512, 4, 4, 32))
    assert measure(norm_on((4, 4, 32)), same, "norm").value == pytest.approx(8, rel=0.1)


def test_dense_features_count_as_many_as_the_batch_has_samples():
    measured = measure(norm_on((64,)), GENERATOR.normal(size=(512, 64)), "norm", batch_size=4, seed=3)
    assert measured.value == pytest.approx(4, rel=0.05)
    assert (measured.samples, measured.seed, measured.threshold) == (512, 3, None)
    assert measured.name == "effective samples per channel"


def test_position_and_scale_of_the_values_do_not_matter():
    x = correlated(256, 9, 4, 0.5)
    plain, moved = (measure(norm_on((9, 4)), data, "norm").value for data in (x, x * 1e-3 + 50))
    assert moved == pytest.approx(plain, rel=1e-2)


def test_heavy_tails_make_the_variance_noisier_and_so_count_for_less():
    normal, heavy = GENERATOR.normal(size=(512, 16)), GENERATOR.standard_t(3, size=(512, 16))
    assert measure(norm_on((16,)), heavy, "norm").value < 0.8 * measure(norm_on((16,)), normal, "norm").value


def test_the_channel_axis_is_heeded():
    x = correlated(256, 9, 4, 0.5)
    last = measure(norm_on((9, 4)), x, "norm").value
    first = measure(norm_on((4, 9), axis=1), np.moveaxis(x, -1, 1), "norm").value
    assert first == pytest.approx(last, rel=1e-6)


def test_constant_channels_are_left_out_and_nothing_is_said_of_only_such():
    x = np.concatenate([correlated(256, 9, 2, 0.5), np.zeros((256, 9, 5))], axis=-1)
    expected = measure(norm_on((9, 2)), x[..., :2], "norm").value
    assert measure(norm_on((9, 7)), x, "norm").value == pytest.approx(expected, rel=1e-6)
    assert measure(norm_on((9, 5)), x[..., 2:], "norm") is None


def test_every_normalization_of_nested_and_shared_models_is_measured_in_one_pass():
    ran = []

    class Tracer(layers.Layer):
        def call(self, x):
            ran.append(1)
            return x

    inner_in = keras.Input((6,))
    inner = keras.Model(inner_in, layers.BatchNormalization(name="norm")(inner_in), name="inner")
    x, y = keras.Input((6,)), keras.Input((6,))
    merged = layers.Add()([inner(Tracer()(x)), inner(y)])
    model = keras.Model([x, y], layers.BatchNormalization(name="last")(merged))
    graph = read_graph(model)
    rare = (GENERATOR.uniform(size=(64, 6)) > 0.95).astype("float32")
    data = read_data([GENERATOR.normal(size=(64, 6)), rare], graph)
    probe = make_probes(graph, data, batch_size=8)["batch_dispersion"]
    ran.clear()
    shared, last = probe("inner/norm"), probe("last")
    # The noisier call counts: a rare feature's variance is noisier than a normal one's.
    assert shared.value < last.value
    assert len(ran) == 4  # chunks of 8, 16, 32 and the last 8 samples
    assert probe("inner") is None
    assert probe("nowhere") is None


def test_trained_statistics_and_dropout_do_not_disturb():
    model = keras.Sequential([keras.Input((16,)), layers.Dropout(0.9), layers.BatchNormalization(name="norm")])
    values = [np.asarray(v) for v in model.variables]
    assert measure(model, GENERATOR.normal(size=(256, 16)), "norm").value == pytest.approx(8, rel=0.1)
    for before, variable in zip(values, model.variables, strict=True):
        np.testing.assert_array_equal(before, variable)


def test_the_time_limit_is_kept_and_some_samples_are_always_run():
    class Slow(layers.Layer):
        def call(self, x):
            if not isinstance(x, keras.KerasTensor):
                time.sleep(0.2)
            return x

    model = keras.Sequential([keras.Input((4,)), Slow(), layers.BatchNormalization(name="norm")])
    x = GENERATOR.normal(size=(512, 4))
    begin = time.monotonic()
    assert measure(model, x, "norm", probe_seconds=0.5).samples in (8, 24)
    assert measure(model, x, "norm", probe_seconds=0).samples == 8
    assert time.monotonic() - begin < 5


def test_equal_seeds_measure_the_same():
    x = correlated(300, 4, 3, 0.5)
    first, again = (measure(norm_on((4, 3)), x, "norm", seed=5) for _ in range(2))
    assert first == again


def test_data_of_varying_length_is_measured_batch_by_batch():
    import tensorflow as tf

    parts = [correlated(32, length, 2, 0.5) for length in (4, 9, 6)]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(parts), output_signature=tf.TensorSpec((32, None, 2), tf.float32)
    )
    assert measure(norm_on((None, 2)), dataset, "norm").samples == 96


def test_what_cannot_be_measured_is_not_said():
    model = norm_on((4,))
    graph = read_graph(model)
    data = read_data(GENERATOR.normal(size=(3, 4)), graph)
    assert make_probes(graph, data, batch_size=2)["batch_dispersion"]("norm") is None  # three samples
    assert "batch_dispersion" not in make_probes(graph, data, batch_size=None)
    folded = keras.Input((2, 4))
    flat = layers.BatchNormalization(name="norm")(keras.ops.reshape(folded, (-1, 4)))
    assert measure(keras.Model(folded, flat), GENERATOR.normal(size=(64, 2, 4)), "norm") is None

    class Hidden(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm = layers.BatchNormalization()

        def call(self, x):
            return self.norm(x)

    graph = read_graph(Hidden())
    assert "batch_dispersion" not in make_probes(graph, read_data(np.ones((9, 4)), graph), batch_size=8)
