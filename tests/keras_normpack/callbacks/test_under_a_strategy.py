"""The callbacks under `tf.distribute.MirroredStrategy` on two logical devices, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import keras, numpy as np, tensorflow as tf
import keras_normpack

processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
x = np.random.default_rng(0).normal(3.0, 2.0, (32, 4)).astype("float32")
states = []


class Recorder(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        states.append([np.array(variable) for variable in self.model.trainable_variables])


for synchronized in (False, True):
    states.clear()
    with strategy.scope():
        layers = [keras.layers.BatchNormalization(synchronized=synchronized), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
    callbacks = [
        Recorder(),
        keras_normpack.PreciseBatchNormalization(x, at="epoch_end"),
        keras_normpack.GeneralizationEarlyStopping("UP", restore_best_weights=False),
        keras_normpack.StochasticWeightAveraging(start_epoch=1, data=x),
    ]
    options = dict(epochs=3, batch_size=8, validation_data=(x, x[:, :1]), verbose=0)
    history = model.fit(x, x[:, :1], callbacks=callbacks, **options).history
    np.testing.assert_allclose(callbacks[2].validation_errors, history["val_loss"])
    for variable, *values in zip(model.trainable_variables, *states[1:]):
        np.testing.assert_allclose(np.array(variable), np.mean(values, axis=0), rtol=1e-6)
    np.testing.assert_allclose(np.array(layers[0].moving_mean), x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(np.array(layers[0].moving_variance), x.var(axis=0), rtol=2e-6)
    for variable in model.variables:
        copies = [copy.numpy() for copy in strategy.experimental_local_results(variable.value)]
        assert len(copies) == 2
        if "seed_generator" not in variable.path:
            np.testing.assert_array_equal(copies[0], copies[1], err_msg=variable.path)
"""


@pytest.mark.tensorflow_only
def test_all_callbacks_in_mirrored_training():
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
