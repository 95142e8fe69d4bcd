"""Earlier runs, read from every form they are kept in."""

import keras
import numpy as np
import pytest

from advisor.facts.history import HistoryRecord, read_history


def fit(*callbacks, epochs=3, model=None, **arguments):
    if model is None:
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", metrics=["mae"])
    x, y = np.ones((8, 2)), np.ones((8, 1))
    history = model.fit(
        x, y, batch_size=2, validation_data=(x, y), epochs=epochs, callbacks=list(callbacks), verbose=0, **arguments
    )
    return history, model


def test_nothing_is_known_of_no_run():
    assert read_history(None) == HistoryRecord({}, None, None)


def test_a_history_tells_what_was_planned():
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(stop.model, "stop_training", True))
    history, _ = fit(stop, epochs=30)
    record = read_history(history)
    assert (record.epochs, record.steps) == (30, 4)
    assert list(record.metrics) == ["loss", "mae", "val_loss", "val_mae"]
    assert [len(values) for values in record.metrics.values()] == [1] * 4
    assert read_history(history.history) == HistoryRecord(record.metrics, 1, None)


def test_metrics_of_several_numbers_are_left_out():
    record = read_history({"loss": np.array([1, 2.0]), "f1_score": [np.array([0.1, 0.2]), np.array([0.3, 0.4])]})
    assert record == HistoryRecord({"loss": [1.0, 2.0]}, 2, None)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
def test_a_csv_log_holds_what_the_history_holds(tmp_path, separator):
    path = tmp_path / "log.csv"
    history, _ = fit(keras.callbacks.CSVLogger(path, separator=separator))
    for given in (path, str(path)):
        record = read_history(given)
        assert record.epochs == 3
        assert record.metrics.keys() == history.history.keys()
        for name, values in history.history.items():
            np.testing.assert_allclose(record.metrics[name], values)


def test_an_appended_run_goes_on_and_a_resumed_one_replaces(tmp_path):
    path = tmp_path / "log.csv"
    first, model = fit(keras.callbacks.CSVLogger(path))
    second, _ = fit(keras.callbacks.CSVLogger(path, append=True), epochs=2, model=model)
    assert read_history(path).metrics["loss"] == pytest.approx(first.history["loss"] + second.history["loss"])
    resumed, _ = fit(keras.callbacks.CSVLogger(path, append=True), epochs=4, initial_epoch=1, model=model)
    expected = first.history["loss"] + second.history["loss"][:1] + resumed.history["loss"]
    assert read_history(path).metrics["loss"] == pytest.approx(expected)


def test_missing_and_listed_values(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('\ufeffepoch,f1,loss,val_loss\n0,"[0.1, 0.2]",0.5,NA\n1,"[0.1,\n 0.2]",nan,0.25\n')
    record = read_history(path)
    assert list(record.metrics) == ["loss", "val_loss"]
    np.testing.assert_array_equal(record.metrics["loss"], [0.5, np.nan])
    np.testing.assert_array_equal(record.metrics["val_loss"], [np.nan, 0.25])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "starts with ''"),
        (b"step,loss\n1,2\n", "starts with 'step,loss'"),
        (b"epoch\n0\n", "starts with 'epoch'"),
        (b"epoch,loss\n", "holds no epoch"),
        (b"epoch,loss\nfirst,0.5\n", "number of its epoch"),
        (b"\x89PNG\xff\xfe", "is no text"),
    ],
)
def test_files_that_are_no_log_are_refused(tmp_path, content, complaint):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"CSVLogger.*Received: .*log\.csv.*" + complaint):
        read_history(path)


def test_paths_of_no_file_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"CSVLogger.*none\.csv"):
        read_history(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="is a folder"):
        read_history(tmp_path)


@pytest.mark.parametrize("history", [3, [0.1], {"loss": 0.5}])
def test_other_things_are_refused(history):
    with pytest.raises(ValueError, match=f"Received: {type(history).__name__}"):
        read_history(history)
