import keras
import numpy as np
import pytest
from keras import layers

from advisor.export.errors import ExportError
from advisor.export.signature import InputTensor, read_signature, structure_names


class TakesDict(keras.Model):
    def call(self, inputs):
        return inputs["a"] + inputs["b"]


def test_a_sequential_has_one_input_with_the_batch_size():
    model = keras.Sequential([keras.Input((4, 3)), layers.Dense(2)])
    signature = read_signature(model, None, batch_size=5)
    assert signature.inputs == (InputTensor("input", (5, 4, 3), "float32"),)
    assert signature.batch_size == 5
    assert signature.pack({"input": 7}) == 7


def test_names_and_structure_of_the_user_are_kept():
    image, tokens = keras.Input((4,), name="image"), keras.Input((6,), dtype="int32", name="tokens")
    output = layers.Concatenate()([image, layers.Embedding(9, 2)(tokens)[:, 0]])
    as_dict = read_signature(keras.Model({"tokens": tokens, "image": image}, output), None, 1)
    assert as_dict.inputs == (InputTensor("image", (1, 4), "float32"), InputTensor("tokens", (1, 6), "int32"))
    assert as_dict.pack({"tokens": 1, "image": 2}) == {"tokens": 1, "image": 2}
    as_list = read_signature(keras.Model([tokens, image], output), None, 1)
    assert as_list.names == ("tokens", "image")
    assert as_list.pack({"tokens": 1, "image": 2}) == [1, 2]


def test_automatic_names_are_numbered_from_zero():
    a, b = keras.Input((2,)), keras.Input((2,))
    assert read_signature(keras.Model([a, b], a + b), None, 1).names == ("input_0", "input_1")


@pytest.mark.parametrize("name", ["left hand", "a/b", "1st", "größe", "a:0", "_x"])
def test_any_name_becomes_an_identifier(name):
    (identifier,) = structure_names(0, [name])
    assert identifier.isidentifier()
    assert identifier.isascii()
    assert not identifier.startswith("_")


def test_half_and_double_inputs_are_exported_as_float32():
    for dtype in ("float16", "float64"):
        a = keras.Input((2,), dtype=dtype)
        assert read_signature(keras.Model(a, layers.Dense(1)(a)), None, 1).inputs[0].dtype == "float32"


def test_data_closes_open_axes():
    model = keras.Sequential([keras.Input((None, 3)), layers.Dense(2)])
    assert read_signature(model, np.zeros((9, 7, 3)), batch_size=2).inputs[0].shape == (2, 7, 3)
    with pytest.raises(
        ExportError,
        match=r"'input' .* has open axes.*Pass `verify_data`.*sequences .* padded .* masked.*\(None, None, 3\)",
    ):
        read_signature(model, None, batch_size=2)


def test_a_subclassed_model_takes_its_signature_from_data():
    model = TakesDict()
    samples = {"a": np.zeros((3, 2), "float32"), "b": np.zeros((3, 2), "int64")}
    signature = read_signature(model, samples, batch_size=1)
    assert signature.inputs == (InputTensor("a", (1, 2), "float32"), InputTensor("b", (1, 2), "int64"))
    with pytest.raises(ExportError, match=r"does not declare its inputs.*Pass `verify_data`"):
        read_signature(model, None, batch_size=1)


def test_what_does_not_fit_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ExportError, match=r"must have the shape \(None, 4\). Received: \(9, 5\)"):
        read_signature(model, np.zeros((9, 5)), batch_size=1)
    fixed = keras.Sequential([keras.Input(batch_shape=(8, 4)), layers.Dense(2)])
    with pytest.raises(ExportError, match=r"pass `batch_size=8`. Received: batch_size=1"):
        read_signature(fixed, None, batch_size=1)
    text = keras.Input((), dtype="string")
    with pytest.raises(ExportError, match=r"must be numeric or boolean.*Received: dtype=string"):
        read_signature(keras.Model(text, text), None, batch_size=1)
