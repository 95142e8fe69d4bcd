"""`advise` and `Advice`: what goes in, what comes out, and clear errors for what cannot."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from advisor import advise
from advisor.rules import all_rules


def conv_net(**compile_arguments):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(8, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.0, name="nothing"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax", name="head"),
        ]
    )
    if compile_arguments:
        model.compile(**compile_arguments)
    return model


def images(count=64):
    # Flat images, in which neighbouring pixels say the same.
    brightness = np.random.default_rng(0).normal(size=(count, 1, 1, 1))
    return np.broadcast_to(brightness, (count, 8, 8, 1)).astype("float32"), np.arange(count) % 3


def codes(advice):
    return [finding.code for finding in advice.findings]


def test_the_more_is_known_the_more_rules_run():
    nothing = {rule.code for rule in advise(conv_net()).not_run}
    run = {rule.code for rule in advise(conv_net(), batch_size=8, steps_per_epoch=8, epochs=2).not_run}
    compiled = conv_net(optimizer="adam", loss="sparse_categorical_crossentropy")
    data = {rule.code for rule in advise(compiled, batch_size=8, data=images(), epochs=2).not_run}
    validated = {
        rule.code
        for rule in advise(
            compiled, batch_size=8, data=images(), validation_data=images(8), epochs=2, history={"loss": [1.0, 0.5]}
        ).not_run
    }
    assert validated < data < run < nothing
    assert not validated


def test_what_did_not_run_says_what_it_lacks():
    missing = {rule.code: rule.missing for rule in advise(conv_net()).not_run}
    assert "batch_size" in missing["N102"]
    assert "steps" in missing["N112"]


def test_measurements_come_with_data():
    advice = advise(conv_net(), batch_size=2, data=images(), select="N102")
    (finding,) = advice.findings
    assert finding.confidence == "measured"
    assert finding.measurements[0].samples > 0


@pytest.mark.parametrize("as_dataset", [True, False])
def test_the_data_is_not_consumed(as_dataset):
    x, y = images()
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8) if as_dataset else (x, y)
    advise(conv_net(), data=data, batch_size=8)
    if as_dataset:
        assert sum(len(batch[0]) for batch in data) == len(x)


def test_a_file_is_read_too(tmp_path):
    conv_net().save(tmp_path / "model.keras")
    assert codes(advise(tmp_path / "model.keras")) == codes(advise(conv_net()))


def test_an_unbuilt_model_is_built_in_a_copy():
    model = keras.Sequential([layers.Dense(4), layers.Dropout(0.0), layers.Dense(2)])
    advice = advise(model, data=np.ones((16, 5), "float32"))
    assert "D203" in codes(advice)
    assert not model.built


def test_findings_are_ordered_errors_first():
    model = conv_net(
        optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    advice = advise(model, data=images(), batch_size=8, epochs=2)
    order = ["error", "warning", "info"]
    severities = [order.index(finding.severity) for finding in advice.findings]
    assert severities == sorted(severities)
    assert codes(advice)[0] == "H602"


def test_select_and_ignore():
    assert codes(advise(conv_net(), select="D")) == ["D203"]
    assert "D203" not in codes(advise(conv_net(), ignore=["D203"]))


def test_safety_is_obeyed():
    advice = advise(conv_net())
    exact = advice.rewrite("exact")
    assert [applied.finding.code for applied in exact.applied] == ["D203"]
    assert all("only exact" in skipped.reason for skipped in exact.skipped)
    assert {applied.finding.code for applied in advice.rewrite("retrain").applied} >= {"N106"}
    assert not advice.rewrite(select="H602").applied


def test_the_rewrite_tells_what_it_did():
    rewrite = advise(conv_net()).rewrite()
    assert rewrite.parity is not None
    assert "-nothing: Dropout" in rewrite.diff
    assert {origin.origin for origin in rewrite.weight_map.values()} <= {"kept", "mapped", "new"}


def test_advice_as_plain_data():
    advice = advise(conv_net(), batch_size=2, data=images(), epochs=2)
    report = json.loads(advice.to_json())
    assert report["schema"] == "keras-advisor/1"
    assert [finding["code"] for finding in report["findings"]] == codes(advice)
    assert "D203" in str(advice)


def test_fit_rewrites_compiles_and_trains():
    x, y = images()
    model = conv_net(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.get_weights()
    trained, history = advise(model, data=(x, y), batch_size=8, epochs=2).fit(
        (x, y), epochs=2, batch_size=8, validation_data=(x, y), verbose=0
    )
    assert len(history.history["loss"]) == 2
    assert trained is not model
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_subclassed_models_are_listed_and_refused_with_code_to_write():
    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.dense = layers.Dense(4)
            self.nothing = layers.Dropout(0.0, name="nothing")

        def call(self, x):
            return self.nothing(self.dense(x))

    net = Net()
    net(np.ones((1, 3), "float32"))
    advice = advise(net)
    (finding,) = [finding for finding in advice.findings if finding.code == "D203"]
    assert finding.fix is None
    assert "in `Net.call` leave out `self.nothing`" in finding.refusal
    # Its `__init__` takes none of the arguments that Keras saves of every model: it could not be loaded, either.
    with pytest.warns(UserWarning, match="itself is returned"):
        assert advice.apply() is net


BAD = [
    ({"batch_size": 0}, ValueError, "`batch_size` must be a whole number of at least 1. Received: batch_size=0"),
    ({"batch_size": -4}, ValueError, "Received: batch_size=-4"),
    ({"batch_size": 2.5}, ValueError, "Received: batch_size=2.5"),
    ({"epochs": 0}, ValueError, "`epochs` must be"),
    ({"replicas": 0}, ValueError, "`replicas` must be"),
    ({"select": "N999"}, ValueError, "no rule 'N999'"),
    ({"ignore": "X"}, ValueError, "no rule 'X'"),
    ({"select": "N", "ignore": "N"}, ValueError, "at least one rule. Received: select='N', ignore='N'"),
    ({"select": []}, ValueError, "at least one rule"),
    ({"select": ["N101", 3]}, TypeError, "collection of strings"),
    ({"ignore": 5}, TypeError, "collection of strings"),
    ({"task": "chess"}, ValueError, "`task` must be None or one of"),
    ({"target": "toaster"}, ValueError, "`target` must be None or 'mobile'"),
    ({"trained": "yes"}, ValueError, "`trained` must be None, True or False"),
    ({"seed": -1}, ValueError, "`seed` must be a whole number of at least 0"),
    ({"seed": 0.5}, ValueError, "`seed` must be a whole number of at least 0"),
    ({"verbose": "loud"}, ValueError, "`verbose` must be"),
    ({"history": "yesterday"}, FileNotFoundError, "`history` given as a path must be"),
    ({"history": [0.5]}, ValueError, "`history` must be"),
    ({"data": np.ones((4, 9, 9, 1))}, ValueError, "shape"),
    ({"data": (np.ones((4, 8, 8, 1)), np.array([0, 1, 2, 7]))}, ValueError, "7"),
    ({"data": np.ones((0, 8, 8, 1))}, ValueError, "at least one sample"),
    ({"data": (batch for batch in [])}, TypeError, "generator"),
    ({"validation_data": np.ones((4, 9, 9, 1))}, ValueError, "shape"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD, ids=[str(next(iter(case[0]))) for case in BAD])
def test_bad_input_gives_one_clear_error(arguments, error, message):
    with pytest.raises(error, match=message):
        advise(conv_net(), **arguments)


def test_values_that_are_no_numbers_are_a_finding():
    images = np.ones((4, 8, 8, 1), "float32")
    spoilt = images.copy()
    spoilt[0, 0, 0], spoilt[1] = np.nan, np.inf
    for data, said in (
        ({"data": spoilt}, "1 NaN and 64 infinite values among 256"),
        ({"data": images, "validation_data": spoilt}, "validation"),
        ({"data": np.full_like(images, np.nan)}, "256 NaN values"),
        ({"data": (images, np.array([0, np.nan, 1, 2], "float32"))}, "the labels hold 1 NaN"),
    ):
        advice = advise(conv_net(), batch_size=2, **data)
        assert not advice.failures
        (finding,) = [finding for finding in advice.findings if finding.code == "H606" and finding.severity == "error"]
        assert said in finding.message
        advice.apply()


def test_a_probe_in_which_the_model_does_not_run_is_reported():
    def picky(y, predicted):
        raise ValueError("no such labels")

    model = conv_net(optimizer="adam", loss=picky)
    advice = advise(model, data=images(), batch_size=8, select="T506")
    assert not advice.failures
    assert {failure.probe for failure in advice.not_measured} == {"gradient_norm", "gradient_norm_later"}
    assert {failure.error for failure in advice.not_measured} == {"ValueError: no such labels"}
    assert "no such labels" in str(advice)
    report = json.loads(advice.to_json())
    assert report["summary"]["not_measured"] == 2
    assert report["not_measured"][0] == {"probe": "gradient_norm", "error": "ValueError: no such labels"}
    fitting = conv_net(optimizer="adam", loss="sparse_categorical_crossentropy")
    assert advise(fitting, data=images(), batch_size=8).not_measured == ()


def test_bad_models(tmp_path):
    with pytest.raises(TypeError, match=r"`model` must be a keras.Model"):
        advise(42)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        advise(tmp_path / "missing.keras")
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(ValueError, match=r"no `.keras` model file"):
        advise(tmp_path / "text.keras")
    keras.Sequential([keras.Input((3,)), layers.Dense(2)]).save(tmp_path / "whole.keras")
    whole = (tmp_path / "whole.keras").read_bytes()
    (tmp_path / "half.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a whole one"):
        advise(tmp_path / "half.keras")
    with pytest.raises(ValueError, match=r"is not built.*`data=`"):
        advise(keras.Sequential([layers.Dense(2)]))


def test_bad_apply_arguments():
    advice = advise(conv_net())
    with pytest.raises(ValueError, match=r"`safety` must be .* Received: safety='reckless'"):
        advice.apply("reckless")
    with pytest.raises(ValueError, match="no rule 'N999'"):
        advice.apply(select="N999")


def test_every_rule_has_a_page():
    from pathlib import Path

    pages = {page.stem for page in (Path(__file__).parents[2] / "docs" / "rules").glob("*.md")}
    assert set(all_rules()) <= pages


def test_code_in_a_file_is_refused_unless_trusted(tmp_path):
    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: x * 2), layers.Dropout(0.0)]).save(path)
    with pytest.raises(ValueError, match=r"safe_mode=False"):
        advise(path)
    assert "D203" in codes(advise(path, safe_mode=False))
