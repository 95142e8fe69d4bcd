"""Shift, jitter and scaling draw for each sample what they should, in training alone, and leave padding alone."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import RandomJitter, RandomScaling, RandomTimeShift
from keras_normpack.testing import check_layer

LAYERS = {
    "shift": lambda **options: RandomTimeShift(0.5, fill_mode="wrap", **options),
    "jitter": lambda **options: RandomJitter(2.0, **options),
    "scaling": lambda **options: RandomScaling(0.5, **options),
}


def in_training(layer, inputs, **options):
    return ops.convert_to_numpy(ops.cast(layer(inputs, **options), "float32"))


@pytest.mark.parametrize(
    ("layer_class", "options", "shape"),
    [
        (RandomTimeShift, {"factor": 0.0, "fill_mode": "constant"}, (4, 6, 3)),
        (RandomTimeShift, {"factor": 0, "fill_mode": "reflect", "seed": 3}, (4, 6)),
        (RandomJitter, {"stddev": 1e-12}, (4, 6, 3)),
        (RandomScaling, {"stddev": 1e-12}, (4, 6, 3)),
    ],
)
def test_without_strength_it_conforms_as_the_identity(layer_class, options, shape):
    check_layer(layer_class, options, shape, dynamic_axes=(1,), expected=lambda inputs, weights: inputs)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_is_active_in_training_only(make, tmp_path):
    values = np.random.default_rng(0).normal(size=(8, 10, 3)).astype("float32")
    model = keras.Sequential([keras.Input((None, 3)), make()])
    model.save(tmp_path / "model.keras")
    for each in (model, keras.saving.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(each.predict(values, verbose=0), values)
        np.testing.assert_array_equal(in_training(each, values, training=False), values)
        assert (in_training(each, values, training=True) != values).any((1, 2)).sum() > 4
        assert (in_training(each.layers[0], values) != values).any()


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_fit_augments_anew_in_every_compiled_step(make):
    model = keras.Sequential([keras.Input((10,)), make(seed=0)])
    model.compile(loss="mse")
    values = np.random.default_rng(0).normal(size=(8, 10)).astype("float32")
    losses = [float(model.train_on_batch(values, values)) for _ in range(3)]
    assert len(set(losses)) == 3
    assert min(losses) > 0
    assert model.test_on_batch(values, values) == 0


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_the_seed_repeats_the_draws(make):
    values = np.random.default_rng(0).normal(size=(8, 10)).astype("float32")
    first, second, other = (in_training(make(seed=seed), values) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("padded_first", [False, True])
def test_masked_steps_stay_and_do_not_come_in(make, padded_first):
    values = np.random.default_rng(0).normal(9.0, 1.0, (200, 12, 2)).astype("float32")
    lengths = np.random.default_rng(1).integers(0, 13, (200, 1))
    steps = np.arange(12)
    mask = steps >= 12 - lengths if padded_first else steps < lengths
    values[~mask] = 1e6
    outputs = in_training(make(seed=0), values, mask=ops.convert_to_tensor(mask))
    np.testing.assert_array_equal(outputs[~mask], values[~mask])
    assert (outputs[mask] < 1000).all()
    assert (outputs[mask] != values[mask]).mean() > 0.5


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_augments_in_a_tf_data_pipeline(make):
    import tensorflow as tf

    values = np.random.default_rng(0).normal(size=(16, 10, 2)).astype("float32")
    layer = make(seed=0)
    batches = list(tf.data.Dataset.from_tensor_slices(values).batch(8).map(layer))
    assert batches[0].shape == (8, 10, 2)
    assert (np.concatenate(batches) != values).any((1, 2)).sum() > 8


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_integers_and_other_ranks_raise(make):
    for integers in (np.ones((2, 3), "int16"), keras.Input((3,), dtype="int16")):
        with pytest.raises(ValueError, match=r"needs floats; scale .*Received: inputs of dtype int16"):
            make()(integers)
    with pytest.raises(ValueError, match=r"shape \(batch, time\) or \(batch, time, channels\). Received: input_shape="):
        make()(np.ones((2, 3, 4, 5)))


@pytest.mark.parametrize(
    ("fill_mode", "expected"),
    [
        ("constant", [[-1, -1, 1, 2, 3], [3, 4, 5, -1, -1]]),
        ("nearest", [[1, 1, 1, 2, 3], [3, 4, 5, 5, 5]]),
        ("reflect", [[2, 1, 1, 2, 3], [3, 4, 5, 5, 4]]),
        ("wrap", [[4, 5, 1, 2, 3], [3, 4, 5, 1, 2]]),
    ],
)
def test_what_comes_in_at_the_end(fill_mode, expected):
    for shift, desired in zip((0.4, -0.4), expected, strict=True):
        layer = RandomTimeShift((shift, shift), fill_mode=fill_mode, fill_value=-1)
        np.testing.assert_array_equal(in_training(layer, np.array([[1.0, 2, 3, 4, 5]])), [desired])


@pytest.mark.parametrize(
    ("factor", "bounds"), [(0.3, (-0.3, 0.3)), ((-0.2, 0.6), (-0.2, 0.6)), ([0.1, 0.1], (0.1, 0.1))]
)
def test_shifts_are_uniform_within_the_factor(factor, bounds):
    samples, time = 20000, 100
    values = np.broadcast_to(np.arange(time, dtype="float32"), (samples, time))
    shifts = (-in_training(RandomTimeShift(factor, fill_mode="wrap", seed=0), values)[:, 0]) % time
    shifts = np.where(shifts > time / 2 + 11, shifts - time, shifts) / time
    lower, upper = bounds
    assert shifts.min() >= lower - 1e-6
    assert shifts.max() <= upper + 1e-6
    deviation = (upper - lower) / np.sqrt(12)
    assert abs(shifts.mean() - (lower + upper) / 2) <= 5 * deviation / np.sqrt(samples) + 1e-6
    # The variance of a squared uniform is 1/180 of its width's fourth power; whole steps add 1/12 of a step squared.
    allowed = 5 * (upper - lower) ** 2 / np.sqrt(180 * samples) + 1 / 12 / time**2
    assert abs(shifts.var() - deviation**2) <= allowed + 1e-9


def test_a_shift_keeps_the_time_order_for_all_channels():
    values = np.random.default_rng(0).normal(size=(20, 7, 3)).astype("float32")
    outputs = in_training(RandomTimeShift(1.0, fill_mode="wrap", seed=0), values)
    for sample, moved in zip(values, outputs, strict=True):
        assert any(np.array_equal(np.roll(sample, shift, axis=0), moved) for shift in range(7))


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_jitter_is_normal_noise(dtype):
    stddev, count = 2.0, 40000
    noise = in_training(RandomJitter(stddev, seed=0, dtype=dtype), np.zeros((200, 100, 2)))
    assert abs(noise.mean()) < 5 * stddev / np.sqrt(count)
    assert abs(noise.std() / stddev - 1) < 5 / np.sqrt(2 * count)
    assert abs((noise**4).mean() / stddev**4 - 3) < 5 * np.sqrt(96 / count)


def test_scaling_is_one_normal_factor_for_each_sample():
    stddev, samples = 0.2, 20000
    values = np.random.default_rng(0).uniform(1.0, 2.0, (samples, 3, 2)).astype("float32")
    factors = in_training(RandomScaling(stddev, seed=0), values) / values
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1, :1], factors.shape), rtol=1e-5, atol=1e-6)
    drawn = factors[:, 0, 0]
    assert abs(drawn.mean() - 1) < 5 * stddev / np.sqrt(samples)
    assert abs(drawn.std() / stddev - 1) < 5 / np.sqrt(2 * samples)


@pytest.mark.parametrize("factor", [1.5, -0.1, (0.5, 0.1), (-2.0, 0.0), (0.1, 0.2, 0.3), float("nan")])
def test_factors_outside_the_range_raise(factor):
    with pytest.raises(ValueError, match=r"`factor` of RandomTimeShift .*Received: factor="):
        RandomTimeShift(factor)


def test_other_wrong_arguments_raise():
    with pytest.raises(ValueError, match=r"`fill_mode` of RandomTimeShift .*Received: fill_mode='mirror'"):
        RandomTimeShift(0.1, fill_mode="mirror")
    for layer_class in (RandomJitter, RandomScaling):
        with pytest.raises(ValueError, match=f"`stddev` of {layer_class.__name__} must be a number above 0. Received"):
            layer_class(0.0)
