"""Training under `tf.distribute.MirroredStrategy` on two logical devices, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import keras, numpy as np, tensorflow as tf
from tests.keras_normpack.cases import all_cases

processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for case in all_cases():
    keras.utils.set_random_seed(0)
    try:
        with strategy.scope():
            model = case.model()
            model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
        inputs = case.inputs(8)
        targets = keras.tree.map_structure(lambda tensor: np.zeros((8, *tensor.shape[1:])), model.output)
        losses = model.fit(inputs if len(inputs) > 1 else inputs[0], targets, batch_size=8, verbose=0).history["loss"]
        assert np.isfinite(losses).all(), losses
        for variable in model.variables:
            copies = [copy.numpy() for copy in strategy.experimental_local_results(variable.value)]
            assert len(copies) == 2, variable.path
            if "seed_generator" not in variable.path:
                np.testing.assert_array_equal(copies[0], copies[1], err_msg=variable.path)
    except Exception as error:
        raise AssertionError(f"{case.name}: {error}") from error
"""


@pytest.mark.slow
@pytest.mark.tensorflow_only
def test_mirrored_training_is_finite_and_keeps_the_copies_of_every_weight_equal():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
