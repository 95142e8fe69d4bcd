"""Advice under `tf.distribute.MirroredStrategy` on two logical devices, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest

from advisor.facts.replicas import replicas_of, strategy_scope

PROGRAM = """
import keras, numpy as np, tensorflow as tf
from advisor import advise
from advisor.rewrite import synchronize_batch_norm

processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def build():
    keras.utils.set_random_seed(0)
    inner = [
        keras.layers.Conv2D(8, 3, use_bias=False),
        keras.layers.BatchNormalization(momentum=0.5, name="norm"),
        keras.layers.ReLU(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential([keras.Input((8, 8, 3)), *inner])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model

def codes(model, **arguments):
    advice = advise(model, batch_size=8, select=["N102", "N103"], **arguments)
    return advice.examination.facts.training.replicas, [finding.code for finding in advice.findings]

plain = build()
assert codes(plain) == (1, [])
assert codes(plain, replicas=2) == (2, ["N103"])
with strategy.scope():
    assert codes(plain) == (2, ["N103"])
    model = build()
    assert codes(model) == (2, ["N103"])
    assert codes(model, replicas=1) == (1, [])
    applied = [advise(model, batch_size=8, select="N103").apply()]
assert codes(model) == (2, ["N103"]), "the model's own strategy counts outside of its scope, too"
applied += [advise(model, batch_size=8, select="N103").apply(), synchronize_batch_norm(model)]

generator = np.random.default_rng(0)
inputs = generator.normal(3.0, 2.0, (16, 8, 8, 3)).astype("float32")
targets = generator.normal(size=(16, 1)).astype("float32")
options = dict(batch_size=8, epochs=2, shuffle=False, verbose=0)
build_alone = build()
build_alone.fit(inputs, targets, **options)
model.fit(inputs, targets, **options)
assert advise(model).examination.facts.model.trained == "its optimizer has taken 4 steps"
def averages(model):
    norm = model.get_layer("norm")
    return np.concatenate([norm.moving_mean.numpy(), norm.moving_variance.numpy()])
assert np.abs(averages(model) - averages(build_alone)).max() > 1e-3, "split statistics would show"
for new in applied:
    assert new.get_layer("norm").synchronized
    assert new.distribute_strategy.num_replicas_in_sync == 2
    assert codes(new) == (2, [])
    new.fit(inputs, targets, **options)
    for ours, theirs in zip(new.get_weights(), build_alone.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
"""


def test_on_two_replicas_batch_normalization_is_synchronized_and_trains_as_on_one_device():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_without_a_strategy_there_is_one_replica(monkeypatch, backend):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    assert replicas_of(model) == 1
    with strategy_scope(model):
        pass
