"""SavedModels against Keras, run by hand; folders that are replaced whole or not at all."""

import os
from contextlib import contextmanager

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from advisor.export import ExportError, export_model, export_saved_model

RNG = np.random.default_rng(0)


def trained_looking(model):
    model.set_weights([RNG.uniform(0.2, 1.0, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def conv_net():
    stack = [
        layers.Conv2D(6, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5),
        layers.Dense(5, activation="softmax", name="label"),
    ]
    return trained_looking(keras.Sequential([keras.Input((12, 12, 3), name="image"), *stack], name="conv_net"))


def recurrent():
    return keras.Sequential([keras.Input((None, 4)), layers.GRU(4), layers.Dense(2)])


def tiny(units=2):
    return keras.Sequential([keras.Input((4,)), layers.Dense(units)])


@pytest.mark.parametrize("build", [conv_net, recurrent])
def test_the_folder_computes_what_keras_does_for_any_batch(build, tmp_path):
    model = build()
    report = export_model(model, tmp_path / "model", format="saved_model")
    loaded = tf.saved_model.load(str(report.path))
    for size in (1, 7):
        x = RNG.normal(size=(size, *(axis or 6 for axis in model.input_shape[1:]))).astype("float32")
        np.testing.assert_allclose(loaded.serve(x), model(x, training=False), rtol=1e-5, atol=1e-6)
    assert report.inputs == {next(iter(report.inputs)): tuple(model.input_shape)}
    assert report.batch_size is None
    assert report.max_relative_difference <= 1e-5
    assert report.verified_samples == 4
    files = [file for file in report.path.rglob("*") if file.is_file()]
    assert report.size_bytes == sum(file.stat().st_size for file in files)
    assert os.listdir(tmp_path) == ["model"]


def test_the_model_is_prepared(tmp_path):
    report = export_saved_model(conv_net(), tmp_path / "model")
    assert report.preparation == ("removed 1 Dropout", "folded 1 BatchNormalization")
    assert report.operators["Conv2D"] == report.operators["MatMul"] == report.operators["Softmax"] == 1
    assert not {"FusedBatchNormV3", "Rsqrt", "StatefulPartitionedCall"} & set(report.operators)
    assert list(tf.saved_model.load(str(report.path)).signatures) == ["serve", "serving_default"]


def test_verification_takes_the_data_given(tmp_path):
    x = RNG.normal(size=(6, 12, 12, 3))
    report = export_saved_model(conv_net(), tmp_path / "model", verify_data=(x, np.zeros(6)))
    assert report.verified_samples == 6
    assert report.top1_agreement == 1.0


def test_structured_inputs_and_outputs_stay(tmp_path):
    left, right = keras.Input((3,), name="zeta"), keras.Input((3,), name="alpha")
    model = keras.Model({"zeta": left, "alpha": right}, {"sum": left + right, "product": left * right})
    report = export_saved_model(model, tmp_path / "model")
    assert report.outputs == ("product", "sum")
    a, b = RNG.normal(size=(2, 5, 3)).astype("float32")
    received = tf.saved_model.load(str(report.path)).serve({"zeta": a, "alpha": b})
    np.testing.assert_array_equal(received["sum"], a + b)
    np.testing.assert_array_equal(received["product"], a * b)


def test_what_keras_cannot_export_is_refused_with_its_reason(tmp_path):
    x = keras.Input((3,))
    with pytest.raises(ExportError, match=r"SavedModel exporter refused model 'nested'.*'parts'"):
        export_saved_model(keras.Model(x, {"parts": [x * 2.0, x + 1.0]}, name="nested"), tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_a_saved_model_is_replaced_whole_and_other_folders_never(tmp_path):
    target = tmp_path / "model"
    export_saved_model(tiny(3), target)
    (target / "assets" / "left over").touch()
    export_saved_model(tiny(), target)
    assert not (target / "assets" / "left over").exists()
    assert tf.saved_model.load(str(target)).serve(np.ones((1, 4), "float32")).shape == (1, 2)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    with pytest.raises(FileExistsError, match=r"must be new, empty or one with a saved_model.pb in it"):
        export_saved_model(tiny(), tmp_path / "photos")
    assert os.listdir(tmp_path / "photos") == ["cat.png"]


def test_an_interrupted_export_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "model"
    export_saved_model(tiny(), target)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("advisor.export.open_batch.check", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_saved_model(tiny(3), target)
    assert tf.saved_model.load(str(target)).serve(np.ones((1, 4), "float32")).shape == (1, 2)
    assert os.listdir(tmp_path) == ["model"]


def test_a_model_that_differs_from_keras_is_not_written(tmp_path):
    with pytest.raises(ExportError, match=r"to a relative difference of 1e-12; no file was written"):
        export_saved_model(conv_net(), tmp_path / "model", tolerance=1e-12)
    assert os.listdir(tmp_path) == []


def test_stages_are_told_in_their_order(tmp_path, monkeypatch):
    said = []

    @contextmanager
    def noted(doing, verbose):
        said.append(doing)
        yield said.append

    monkeypatch.setattr("advisor.export.open_batch.working", noted)
    export_saved_model(tiny(), tmp_path / "model", verbose=2)
    assert said == ["Preparing the model", "Converting", "Verifying"]
