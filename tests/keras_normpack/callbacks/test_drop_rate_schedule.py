"""`DropRateSchedule` changes the rates a compiled training step drops at."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import DropBlock1D, DropPath
from keras_normpack.callbacks import DropRateSchedule

EPOCHS, STEPS, BATCH = 3, 4, 512


def fit(layers, callback, epochs=EPOCHS, **compile_options):
    """Trains on ones and gives, for each step, the share that every layer dropped."""
    inputs = keras.Input((6, 1))
    model = keras.Model(inputs, [layer(inputs) for layer in layers])

    def dropped(targets, outputs):
        return ops.mean(ops.cast(ops.equal(outputs, 0), "float32"))

    model.compile(keras.optimizers.SGD(0.0), [dropped] * len(layers), **compile_options)
    ones = np.ones((BATCH * STEPS, 6, 1), "float32")
    return model.fit(ones, [ones] * len(layers), BATCH, epochs, callbacks=[callback], verbose=0, shuffle=False)


def rate_of(layer):
    return float(ops.convert_to_numpy(layer.current_rate.value))


@pytest.mark.parametrize("jit_compile", [False, "auto"])
def test_every_epoch_drops_what_the_schedule_says(jit_compile):
    layers = [DropPath(0.8, seed=0), DropBlock1D(0.4, 2, data_format="channels_last", seed=1)]
    schedule = DropRateSchedule(lambda epoch: epoch / (EPOCHS - 1))
    shares = fit(layers, schedule, jit_compile=jit_compile).history["loss"]
    for epoch, total in enumerate(shares):
        expected = (0.8 + 0.4) * epoch / (EPOCHS - 1)
        assert abs(total - expected) < 5 * 2 * np.sqrt(0.25 / (BATCH * STEPS))
    assert shares[0] == 0
    np.testing.assert_allclose([rate_of(layer) for layer in layers], [0.8, 0.4])


def test_every_step_drops_what_the_schedule_says():
    layer = DropPath(0.8, seed=0)
    ramp = keras.optimizers.schedules.PolynomialDecay(0.0, EPOCHS * STEPS, end_learning_rate=1.0)
    seen = []

    class Watch(DropRateSchedule):
        def on_train_batch_begin(self, batch, logs=None):
            super().on_train_batch_begin(batch, logs)
            seen.append(rate_of(layer))

    shares = fit([layer], Watch(ramp, update_freq="batch")).history["loss"]
    np.testing.assert_allclose(seen, 0.8 * np.arange(EPOCHS * STEPS) / (EPOCHS * STEPS), rtol=1e-6, atol=1e-7)
    means = np.reshape(seen, (EPOCHS, STEPS)).mean(1)
    assert (np.abs(shares - means) < 5 * np.sqrt(0.25 / (BATCH * STEPS))).all()


@pytest.mark.parametrize("known_steps", [True, False])
def test_steps_are_counted_from_the_first_epoch(known_steps):
    counts = []
    schedule = DropRateSchedule(lambda count: counts.append(count) or 1.0, update_freq="batch")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), DropPath(0.5)])
    model.compile("sgd", "mse")
    ones = np.ones((8, 2))
    if known_steps:
        model.fit(ones, ones, 4, epochs=5, initial_epoch=3, callbacks=[schedule], verbose=0)
        assert counts == [6, 7, 8, 9]
    else:
        batches = ((ones[:4], ones[:4]) for _ in range(6))
        model.fit(batches, epochs=1, callbacks=[schedule], verbose=0)
        # Keras begins one step more before it finds the batches at their end.
        assert counts[:6] == [0, 1, 2, 3, 4, 5]


def test_training_goes_on_between_scheduled_steps():
    """On JAX the state of the trainer and the variables must not overwrite each other."""
    trained = []
    for callbacks in ([], [DropRateSchedule(lambda count: 0.0, update_freq="batch")]):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        model = keras.Model(inputs, DropPath(1e-7)(keras.layers.Dense(2)(inputs)))
        model.compile(keras.optimizers.Adam(0.1), "mse")
        values = np.random.default_rng(0).normal(size=(16, 3))
        model.fit(values, values[:, :2], 4, epochs=2, callbacks=callbacks, verbose=0, shuffle=False)
        trained.append(model.layers[1].get_weights()[0])
    np.testing.assert_allclose(trained[1], trained[0], rtol=1e-4, atol=1e-5)


def test_reaches_nested_layers_or_only_those_named():
    inner = DropPath(0.5)
    nested = keras.layers.TimeDistributed(inner)
    outer = DropPath(0.5)
    model = keras.Sequential([keras.Input((3, 2)), keras.Sequential([nested]), outer])
    model.compile("sgd", "mse")
    ones = np.ones((4, 3, 2))
    model.fit(ones, ones, callbacks=[DropRateSchedule(lambda epoch: 0.5)], verbose=0)
    assert (rate_of(inner), rate_of(outer)) == (0.25, 0.25)
    model.fit(ones, ones, callbacks=[DropRateSchedule(lambda epoch: 0.1, layers=[outer])], verbose=0)
    np.testing.assert_allclose((rate_of(inner), rate_of(outer)), (0.25, 0.05))


def test_the_rate_is_saved(tmp_path):
    model = keras.Sequential([keras.Input((2,)), DropPath(0.5)])
    model.layers[0].current_rate.assign(0.125)
    model.save(tmp_path / "model.keras")
    layer = keras.saving.load_model(tmp_path / "model.keras").layers[0]
    assert (rate_of(layer), layer.rate) == (0.125, 0.5)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_outside_the_range_raise(share):
    with pytest.raises(ValueError, match=r"`schedule` of DropRateSchedule .*Received: schedule\(0\)="):
        fit([DropPath(0.5)], DropRateSchedule(lambda epoch: share), epochs=1)


def test_a_model_without_rates_raises():
    with pytest.raises(ValueError, match=r"needs a DropPath or DropBlock layer with a rate above 0. Received: layers="):
        fit([DropPath(0.0)], DropRateSchedule(lambda epoch: 1.0), epochs=1)


def test_another_frequency_raises():
    with pytest.raises(ValueError, match=r"must be 'epoch' or 'batch'. Received: update_freq='step'"):
        DropRateSchedule(lambda epoch: 1.0, update_freq="step")
