"""What TensorBoard is given: read back from the event file as TensorBoard reads it."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from advisor import AdvisorCallback


def events(folder):
    """The summaries of a run as (plugin, tag, step, value)."""
    (file,) = folder.iterdir()
    for record in tf.data.TFRecordDataset(str(file)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            content = tf.make_ndarray(value.tensor)[()]
            yield value.metadata.plugin_data.plugin_name, value.tag, event.step, content


def test_each_finding_is_a_text_and_each_measurement_a_scalar(tmp_path):
    x = np.random.default_rng(0).normal(size=(96, 6)).astype("float32")
    keras.utils.set_random_seed(0)
    stack = [layers.Dense(8, name="hidden"), layers.BatchNormalization(name="norm"), layers.ReLU(name="relu")]
    model = keras.Sequential([keras.Input((6,)), *stack, layers.Dense(1, name="head")])
    model.compile("adam", "mse")
    watch = AdvisorCallback(data=(x, x[:, :1]), log_dir=tmp_path, cost=1e6, verbose=0)
    model.fit(x, x[:, :1], epochs=3, callbacks=[watch], verbose=0)
    seen = list(events(tmp_path))
    texts = {tag: content.decode() for plugin, tag, _, content in seen if plugin == "text"}
    assert "lagging-moving-averages" in texts["advisor/N112"]
    scalars = {(tag, step): content for plugin, tag, step, content in seen if plugin == "scalars"}
    assert {step for tag, step in scalars if tag == "advisor/statistics_lag/norm"} == {0, 1, 2, 3}
    assert {step for tag, step in scalars if tag == "advisor/dead_share/relu"} == {0, 1, 2, 3}
    assert {step for tag, step in scalars if tag == "advisor/gradient_norm/hidden"} == {0}
    measured = next(sighting for sighting in watch.findings if sighting.finding.measurements)
    told = scalars["advisor/statistics_lag/norm", measured.epoch]
    np.testing.assert_allclose(told, measured.finding.measurements[0].value, rtol=1e-6)
