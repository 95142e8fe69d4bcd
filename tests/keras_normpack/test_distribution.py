"""Training under `tf.distribute.MirroredStrategy` on two logical devices, in a process of its own."""

import subprocess
import sys

PROGRAM = """
import keras, numpy as np, tensorflow as tf
import keras_normpack as kn

processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
keras.utils.set_random_seed(0)
with strategy.scope():
    model = keras.Sequential([
        keras.Input((24, 24, 3)),
        kn.WeightNormalization(keras.layers.Conv2D(16, 3)),
        kn.BatchNormalization(momentum=0.0),
        kn.InstanceNormalization(),
        keras.layers.ReLU(),
        kn.DropPath(0.2),
        keras.layers.Flatten(),
        kn.WeightNormalization(keras.layers.Dense(3)),
    ])
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
inputs = np.random.default_rng(0).normal(size=(64, 24, 24, 3)).astype("float32")
losses = model.fit(inputs, np.zeros((64, 3)), batch_size=64, epochs=2, verbose=0).history["loss"]
assert np.isfinite(losses).all(), losses
assert model.layers[0].initialized.numpy()
for variable in model.trainable_variables:
    copies = [copy.numpy() for copy in strategy.experimental_local_results(variable.value)]
    assert len(copies) == 2, variable.path
    np.testing.assert_array_equal(copies[0], copies[1], err_msg=variable.path)
"""


def test_mirrored_training_is_finite_and_keeps_the_copies_of_every_weight_equal():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
