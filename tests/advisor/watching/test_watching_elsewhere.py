"""`AdvisorCallback` where a process of its own is needed: on two devices, and with the JAX backend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

COMMON = """
import warnings
import keras, numpy as np
from keras import layers
from advisor import AdvisorCallback

warnings.filterwarnings("error", message="AdvisorCallback")
x = np.random.default_rng(0).normal(3.0, 2.0, (96, 6)).astype("float32")
y = (x[:, 0] > 3).astype("int32")


def net():
    keras.utils.set_random_seed(3)
    stack = [layers.Dense(8), layers.BatchNormalization(name="norm"), layers.ReLU(), layers.Dropout(0.5)]
    model = keras.Sequential([keras.Input((6,)), *stack, layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def state_after(model, callbacks):
    model.fit(x, y, epochs=3, batch_size=32, validation_data=(x, y), callbacks=callbacks, verbose=0)
    variables = (*model.variables, *model.optimizer.variables)
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def check(build):
    watch = AdvisorCallback(data=(x, y), cost=1e6, verbose=0)
    watched = state_after(build(), [watch])
    for one, other in zip(state_after(build(), []), watched, strict=True):
        np.testing.assert_array_equal(one, other)
    told = [(sighting.epoch, sighting.finding.code) for sighting in watch.findings]
    assert told[:2] == [(0, "N112"), (1, "N112")], told
    assert watch.findings[1].finding.measurements
    return watch
"""

MIRRORED = """
import tensorflow as tf
processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def mirrored():
    with strategy.scope():
        return net()


check(mirrored)
"""

BROKEN = """
check(net)
watch = AdvisorCallback(verbose=0)
model = keras.Sequential([keras.Input((6,)), layers.Dense(1)])
model.compile("sgd", "mse")
x[64:] = np.nan
model.fit(x, y, batch_size=8, epochs=2, shuffle=False, callbacks=[watch], verbose=0)
(sighting,) = watch.findings
assert (sighting.epoch, sighting.finding.code, sighting.finding.severity) == (1, "T505", "error")
"""


@pytest.mark.slow
@pytest.mark.tensorflow_only
def test_on_two_devices():
    run(COMMON + MIRRORED, "tensorflow")


@pytest.mark.slow
def test_with_jax():
    pytest.importorskip("jax")
    run(COMMON + BROKEN, "jax")


def run(program, backend):
    environment = {**os.environ, "KERAS_BACKEND": backend}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
