import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from advisor.export.errors import ExportError
from advisor.export.samples import Samples
from advisor.export.signature import read_signature
from advisor.export.verify import Limit, Outputs, check, difference, keras_outputs, limit_for

finite = st.floats(-1e3, 1e3, width=32)


def outputs(*values):
    return Outputs(tuple(f"y{i}" for i in range(len(values))), tuple(np.asarray(v, "float32") for v in values))


IN_FLOAT = limit_for(None, None)


def refuse(found, limit=IN_FLOAT):
    check(found, limit, lambda: "Because.")


def test_the_figures_follow_their_definitions():
    expected = outputs([[1.0, 4.0], [2.0, 1.0]], [[0.5], [0.25]])
    received = outputs([[1.0, 3.0], [2.0, 2.5]], [[0.5], [0.5]])
    found = difference(expected, received)
    assert found.max_absolute == 1.5
    assert found.max_relative == 0.5
    assert found.mean_absolute == pytest.approx((1.0 + 1.5 + 0.25) / 6)
    assert found.relative_rms == pytest.approx(max(np.sqrt((1 + 2.25) / 22), np.sqrt(0.0625 / 0.3125)))
    assert found.top1_agreement == 0.5
    assert found.worst_output == "y1"


@settings(max_examples=50, deadline=None)
@given(hnp.arrays("float32", (3, 4), elements=finite), st.floats(1e-6, 1e-2))
def test_a_scaled_output_differs_by_its_scale(values, epsilon):
    values[0, 0] = 1000.0
    scaled = Outputs(("y",), (values.astype("float64") * (1 + epsilon),))
    found = difference(Outputs(("y",), (values.astype("float64"),)), scaled)
    assert found.max_relative == pytest.approx(epsilon, rel=1e-6)
    assert found.max_absolute == pytest.approx(1000 * epsilon, rel=1e-6)


def test_equal_infinities_agree_and_others_do_not():
    masked = outputs([[-np.inf, 2.0]])
    assert difference(masked, masked).max_relative == 0.0
    for wrong in (0.0, np.inf, np.nan):
        found = difference(masked, outputs([[wrong, 2.0]]))
        assert found.max_relative == np.inf
        with pytest.raises(ExportError):
            refuse(found)
    assert difference(outputs([[0.0, 2.0]]), outputs([[np.nan, 2.0]])).max_absolute == np.inf


def test_an_output_of_zeros_is_compared_absolutely():
    found = difference(outputs([[0.0, 0.0]]), outputs([[1e-9, 0.0]]))
    assert found.max_relative == pytest.approx(1e-9)


def test_top1_is_for_classes_only():
    assert difference(outputs([[1.0]]), outputs([[1.0]])).top1_agreement is None
    assert difference(outputs(np.ones((2, 3, 4))), outputs(np.ones((2, 3, 4)))).top1_agreement is None


def test_too_large_a_difference_is_refused_by_name():
    found = difference(outputs([[1.0]], [[2.0]]), outputs([[1.0]], [[2.001]]))
    refuse(found, limit_for(None, 1e-3))
    with pytest.raises(ExportError, match=r"relative difference of 0.0001;.* Because. Received: 0.0005.*output 'y1'"):
        refuse(found)


def test_quantized_models_are_held_by_their_root_mean_square():
    found = difference(outputs([[3.0, 4.0]]), outputs([[3.0, 4.6]]))
    refuse(found, Limit("relative_rms", 0.1201))
    with pytest.raises(ExportError, match=r"a relative root mean square difference of 0.1199; .*Received: 0.12 \("):
        refuse(found, Limit("relative_rms", 0.1199))


def test_the_explanation_is_asked_for_only_when_it_is_needed():
    asked = []

    def explanation():
        asked.append(True)
        return "Because."

    check(difference(outputs([[1.0]]), outputs([[1.0]])), IN_FLOAT, explanation)
    assert asked == []
    with pytest.raises(ExportError, match=r"Because\."):
        check(difference(outputs([[1.0]]), outputs([[2.0]])), IN_FLOAT, explanation)
    assert asked == [True]


def test_whole_numbers_differ_by_the_share_that_does():
    first = Outputs(("classes",), (np.array([5, 900, 3, 4]),))
    second = Outputs(("classes",), (np.array([5, 2, 3, 4]),))
    assert difference(first, second).relative_rms == 0.25


def test_keras_runs_all_rows_in_batches():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    signature = read_signature(model, None, batch_size=2)
    found = keras_outputs(model, signature, Samples({"input": x}, 5))
    np.testing.assert_allclose(found.values[0], model(x), rtol=1e-5, atol=1e-6)


def test_a_model_that_returns_nan_cannot_be_verified():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Activation(keras.ops.log, name="log")])
    signature = read_signature(model, None, batch_size=1)
    with pytest.raises(ExportError, match=r"must return finite numbers.*Received: NaN in output 'log'"):
        keras_outputs(model, signature, Samples({"input": -np.ones((2, 3), "float32")}, 2))
