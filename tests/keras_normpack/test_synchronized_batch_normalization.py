"""`BatchNormalization` on two logical devices against the whole batch on one, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import keras, numpy as np, tensorflow as tf
from keras_normpack import BatchNormalization

processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def model_with(**arguments):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 3))
    hidden = keras.layers.Masking()(inputs)
    model = keras.Model(inputs, BatchNormalization(momentum=0.5, **arguments)(hidden))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model

def trained(model, inputs, targets, batch_size):
    model.fit(inputs, targets, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
    for variable in model.variables:
        copies = [copy.numpy() for copy in strategy.experimental_local_results(variable.value)]
        assert np.isfinite(copies).all(), variable.path
        for copy in copies:
            np.testing.assert_array_equal(copy, copies[0], err_msg=variable.path)
    return model.get_weights()

generator = np.random.default_rng(0)
# Far from 0: the mean square less the squared mean would be off by the whole variance.
inputs, targets = generator.normal(1000.0, 0.5, (16, 6, 3)).astype("float32"), generator.normal(size=(16, 6, 3))
inputs[np.arange(6) >= generator.integers(1, 7, (16, 1))] = 0
inputs[4:8] = 0  # the second replica's part of the first batch has no valid position
with strategy.scope():
    model = model_with(synchronized=True)
*_, mean, variance = trained(model, inputs, targets, 8)
desired_mean, desired_variance = np.zeros(3), np.ones(3)
for batch in (inputs[:8], inputs[8:]) * 2:
    valid = batch[np.any(batch != 0, axis=-1)].astype("float64")
    desired_mean = 0.5 * desired_mean + 0.5 * valid.mean(0)
    desired_variance = 0.5 * desired_variance + 0.5 * valid.var(0)
np.testing.assert_allclose(mean, desired_mean, rtol=1e-6)
np.testing.assert_allclose(variance, desired_variance, rtol=1e-4)

# Without a mask the loss is the same mean on two replicas as on one device, so the gradients must agree as well.
inputs = generator.normal(100.0, 2.0, (16, 6, 3)).astype("float32")
arguments = {"synchronized": True, "renorm": True}
with strategy.scope():
    model = model_with(**arguments)
distributed = trained(model, inputs, targets, 8)
single = model_with(**arguments)
single.fit(inputs, targets, batch_size=8, epochs=2, shuffle=False, verbose=0)
for weight, ours, theirs in zip(single.weights, distributed, single.get_weights()):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=weight.path)

# Each replica by itself: the averages are the mean of what each would have.
with strategy.scope():
    model = model_with()
model.fit(inputs[:8], targets[:8], batch_size=8, shuffle=False, verbose=0)
mean = 0.5 * np.mean([inputs[:4].mean((0, 1)), inputs[4:8].mean((0, 1))], axis=0)
variance = 0.5 + 0.5 * np.mean([inputs[:4].var((0, 1)), inputs[4:8].var((0, 1))], axis=0)
np.testing.assert_allclose(model.layers[-1].moving_mean, mean, rtol=1e-5)
np.testing.assert_allclose(model.layers[-1].moving_variance, variance, rtol=1e-4)

# The last batch has one sample, so the second replica gets none.
for arguments in ({}, {"virtual_batch_size": 2}):
    with strategy.scope():
        model = keras.Sequential([keras.Input((6, 3)), BatchNormalization(**arguments)])
        model.compile(keras.optimizers.SGD(0.1), "mse")
    trained(model, inputs[:9], targets[:9], 4)
"""


@pytest.mark.tensorflow_only
def test_on_two_devices_it_computes_what_it_does_on_one():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
