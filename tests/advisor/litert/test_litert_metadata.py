"""Metadata in `.tflite` files: what is written is read, and nothing else changes."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from advisor.litert.conversion import convert_function
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.metadata import ALIGNMENT, read_metadata, with_metadata
from advisor.litert.operators import operator_table
from advisor.litert.signatures import signature_shapes

ENTRY = {"model": "net", "inputs": {"x": [1, 6, 6, 3]}, "of": "γ · x", "ratio": 0.1, "nothing": None}


def converted(stack, shape=(6, 6, 3)):
    model = keras.Sequential([keras.Input(shape), *stack])

    def serve(x):
        return {"y": tf.identity(model(x, training=False))}

    spec = tf.TensorSpec((1, *shape), tf.float32, "x")
    return convert_function(tf.function(serve, autograph=False).get_concrete_function(x=spec))


@pytest.fixture(scope="module")
def flatbuffer():
    return converted([layers.Conv2D(4, 3), layers.ReLU(), layers.Flatten(), layers.Dense(5), layers.Softmax()])


def unpacked(flatbuffer):
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(flatbuffer)


def plain(value):
    """A part of the model as data that compares."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in vars(value).items()} if hasattr(value, "__dict__") else value


def test_what_is_written_is_read(flatbuffer, tmp_path):
    described = with_metadata(flatbuffer, ENTRY, "net, for tests")
    assert read_metadata(described) == ENTRY
    assert unpacked(described).description == b"net, for tests"
    (tmp_path / "model.tflite").write_bytes(described)
    assert read_metadata(tmp_path / "model.tflite") == ENTRY


def test_nothing_else_changes(flatbuffer):
    before, after = unpacked(flatbuffer), unpacked(with_metadata(flatbuffer, ENTRY, "net"))
    assert after.buffers.pop().data is not None
    assert after.metadata.pop().name == b"keras_normpack"
    before.description = after.description = None
    for old, new in zip(before.subgraphs, after.subgraphs, strict=True):
        outside = {*old.inputs, *old.outputs}
        for index, (had, has) in enumerate(zip(old.tensors, new.tensors, strict=True)):
            assert has.name == (had.name if index in outside else b"")
            has.name = had.name
    assert plain(after) == plain(before)
    x = np.random.default_rng(0).normal(size=(1, 6, 6, 3)).astype("float32")
    outputs = [LiteRTModel(model)({"x": x})["y"] for model in (flatbuffer, with_metadata(flatbuffer, ENTRY, "net"))]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("stack", [[layers.LSTM], [layers.GRU]])
def test_models_with_loops_stay_whole(stack):
    flatbuffer = converted([cls(5) for cls in stack], shape=(7, 4))
    described = with_metadata(flatbuffer, ENTRY, "net")
    assert operator_table(described) == operator_table(flatbuffer)
    x = np.random.default_rng(0).normal(size=(1, 7, 4)).astype("float32")
    np.testing.assert_array_equal(LiteRTModel(described)({"x": x})["y"], LiteRTModel(flatbuffer)({"x": x})["y"])


def test_a_second_entry_replaces_the_first(flatbuffer):
    once = with_metadata(flatbuffer, ENTRY, "net")
    again = with_metadata(once, {"model": "other"}, "other")
    assert read_metadata(again) == {"model": "other"}
    assert again == with_metadata(flatbuffer, {"model": "other"}, "other")


def test_equal_arguments_give_equal_bytes(flatbuffer):
    assert with_metadata(flatbuffer, ENTRY, "net") == with_metadata(flatbuffer, dict(ENTRY), "net")


def test_weights_lie_as_the_schema_wants_them(flatbuffer):
    from ai_edge_litert import schema_py_generated as schema

    described = with_metadata(flatbuffer, ENTRY, "net")
    model = schema.Model.GetRootAs(described)
    start = np.frombuffer(described, np.uint8).ctypes.data
    offsets = [
        model.Buffers(index).DataAsNumpy().ctypes.data - start
        for index in range(model.BuffersLength())
        if model.Buffers(index).DataLength()
    ]
    assert len(offsets) > 5
    assert {offset % ALIGNMENT for offset in offsets} == {0}
    # What it costs: at most so much for each buffer, and the entry itself.
    assert len(described) < len(flatbuffer) + ALIGNMENT * len(offsets) + 512


def test_a_file_of_100_megabytes_is_described_in_seconds(flatbuffer):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = unpacked(flatbuffer)
    model.buffers += [schema.BufferT(data=np.zeros(10_000_000, np.uint8)) for _ in range(10)]
    builder = flatbuffers.Builder(110_000_000)
    builder.Finish(model.Pack(builder), b"TFL3")
    large = bytes(builder.Output())
    begin = time.process_time()
    described = with_metadata(large, ENTRY, "net")
    assert time.process_time() - begin < 3
    assert read_metadata(described) == ENTRY


def test_a_file_without_an_entry_has_none(flatbuffer):
    assert read_metadata(flatbuffer) is None


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(ValueError, match=r"must be a TFLite model. Received: 11 bytes that begin with b'not a mo'"):
        read_metadata(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="Received: 0 bytes"):
        read_metadata(b"")


def test_signatures_are_read_with_their_shapes(flatbuffer):
    shapes = signature_shapes(flatbuffer)
    assert shapes.inputs == {"x": (1, 6, 6, 3)}
    assert shapes.outputs == {"y": (1, 5)}
