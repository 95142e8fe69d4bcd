import keras
import numpy as np
import pytest
from keras import layers

from advisor.export.convert import convert
from advisor.export.signature import read_signature
from advisor.litert.conversion import convert_function
from advisor.litert.interpreter import LiteRTModel

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def flatbuffer():
    # Two inputs and two outputs of one shape each, so that only names tell them apart.
    a, b = keras.Input((3,), name="zeta"), keras.Input((3,), name="alpha")
    model = keras.Model([a, b], [a - b, b * 2.0 - a])
    return convert(model, read_signature(model, None, 2), ("zulu", "able"))


@pytest.mark.parametrize("num_threads", [1, 2])
def test_inputs_and_outputs_go_by_name(flatbuffer, num_threads):
    model = LiteRTModel(flatbuffer, num_threads)
    assert set(model.input_names) == {"zeta", "alpha"}
    assert set(model.output_names) == {"zulu", "able"}
    for _ in range(2):
        a, b = RNG.normal(size=(2, 2, 3)).astype("float32")
        received = model({"alpha": b, "zeta": a})
        np.testing.assert_allclose(received["zulu"], a - b, rtol=1e-6)
        np.testing.assert_allclose(received["able"], b * 2 - a, rtol=1e-6)


def test_a_file_runs_as_its_bytes_do(flatbuffer, tmp_path):
    (tmp_path / "model.tflite").write_bytes(flatbuffer)
    inputs = {"alpha": np.ones((2, 3), "float32"), "zeta": np.zeros((2, 3), "float32")}
    expected, received = LiteRTModel(flatbuffer)(inputs), LiteRTModel.from_file(tmp_path / "model.tflite")(inputs)
    np.testing.assert_array_equal(expected["zulu"], received["zulu"])


def test_inputs_are_held_over_runs():
    # What latency is measured on: the arena must not reuse the memory of the inputs.
    model = keras.Sequential([keras.Input((6, 4)), layers.LSTM(5), layers.Dense(3)])
    exported = LiteRTModel(convert(model, read_signature(model, None, 1), ("y",)))
    first = exported({"input": RNG.normal(size=(1, 6, 4)).astype("float32")})["y"]
    for _ in range(3):
        exported.invoke()
        np.testing.assert_array_equal(exported.outputs()["y"], first)


def test_shapes_left_open_are_given():
    import tensorflow as tf

    function = tf.function(lambda x: {"y": 2.0 * x}).get_concrete_function(x=tf.TensorSpec([None, 3], name="x"))
    model = LiteRTModel(convert_function(function), shapes={"x": (4, 3)})
    x = RNG.normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(model({"x": x})["y"], 2 * x, rtol=1e-6)
