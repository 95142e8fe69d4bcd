import warnings

import numpy as np
import pytest
import tensorflow as tf

from advisor.litert.conversion import convert_function
from advisor.litert.interpreter import LiteRTModel, Tensor
from advisor.litert.operators import operator_table, read_operators
from advisor.litert.quantizable import WITHOUT_INT8_KERNEL, takes_int8_alone
from advisor.litert.quantization import CALIBRATED, PRECISIONS, Quantization

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(64, 32)).astype("float32")
X = RNG.normal(size=(32, 1, 64)).astype("float32")


def function(compute=lambda x: x @ KERNEL):
    return tf.function(lambda x: {"y": compute(x)}, autograph=False).get_concrete_function(
        x=tf.TensorSpec((1, 64), "float32", "x")
    )


def quantized(precision, compute=lambda x: x @ KERNEL):
    return convert_function(function(compute), quantization=Quantization(precision, [{"x": x} for x in X]))


@pytest.mark.parametrize(
    ("precision", "bytes_per_weight", "error"),
    [("float16", 2, 1e-3), ("dynamic", 1, 2e-2), ("int8", 1, 3e-2), ("int8_float_fallback", 1, 3e-2)],
)
def test_weights_take_the_bytes_and_outputs_have_the_error_of_the_precision(precision, bytes_per_weight, error):
    flatbuffer = quantized(precision)
    assert KERNEL.size * bytes_per_weight < len(flatbuffer) < KERNEL.size * bytes_per_weight + 2500
    model = LiteRTModel(flatbuffer)
    expected = X[:, 0] @ KERNEL
    received = np.concatenate([model({"x": x})["y"] for x in X])
    assert received.dtype == np.float32
    found = np.linalg.norm(received - expected) / np.linalg.norm(expected)
    assert 1e-7 < found < error


def test_only_int8_has_integers_at_its_ends():
    for precision in PRECISIONS:
        model = LiteRTModel(quantized(precision))
        integers = (model._inputs["x"].dtype == np.int8, model._outputs["y"].dtype == np.int8)
        assert integers == (precision == "int8",) * 2


def test_integers_of_the_inputs_own_type_are_fed_as_they_are():
    model = LiteRTModel(quantized("int8"))
    stored = model._inputs["x"].stored(X[0])
    assert stored.dtype == np.int8
    np.testing.assert_array_equal(model({"x": X[0]})["y"], model({"x": stored})["y"])


def test_what_a_tensor_stores_is_real_again_within_half_a_step():
    tensor = Tensor(0, np.dtype("int8"), scale=0.25, zero_point=-20)
    values = RNG.uniform(-26, 36, 1000).astype("float32")
    assert np.abs(tensor.real(tensor.stored(values)) - values).max() <= 0.125
    np.testing.assert_array_equal(tensor.stored(np.array([-1e9, 1e9])), [-128, 127])
    plain = Tensor(0, np.dtype("int8"))
    np.testing.assert_array_equal(plain.real(plain.stored(np.array([3], "int8"))), [3])


def test_operators_left_in_float_are_found_with_their_output():
    flatbuffer = quantized("int8", lambda x: tf.sin(x @ KERNEL))
    (sine,) = [operator for operator in read_operators(flatbuffer) if operator.computes_in_float]
    assert (sine.name, sine.output) == ("SIN", "y")
    assert "SIN" in operator_table(flatbuffer)
    assert not [operator for operator in read_operators(quantized("int8")) if operator.computes_in_float]


@pytest.mark.parametrize("precision", CALIBRATED)
def test_calibration_says_nothing(precision, capfd):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quantized(precision)
    assert not [warning for warning in caught if "Interpreter" in str(warning.message)]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("operator", [lambda x: -x, tf.square, tf.nn.elu], ids=["NEG", "SQUARE", "ELU"])
def test_what_stays_in_float_is_known_before(operator):
    assert not takes_int8_alone(convert_function(function(lambda x: operator(x @ KERNEL))))
    assert takes_int8_alone(convert_function(function()))


IN_FLOAT = {
    "ATAN2": lambda x: tf.atan2(x, x + 1),
    "CEIL": tf.math.ceil,
    "CONV_3D": lambda x: tf.nn.conv3d(tf.reshape(x, (1, 4, 4, 4, 1)), np.ones((2, 2, 2, 1, 2), "f"), [1] * 5, "SAME"),
    "COS": tf.cos,
    "CUMSUM": lambda x: tf.cumsum(x, axis=1),
    "ELU": tf.nn.elu,
    "FLOOR": tf.floor,
    "FLOOR_DIV": lambda x: tf.math.floordiv(x, 0.3),
    "FLOOR_MOD": lambda x: tf.math.floormod(x, 0.3),
    "LOCAL_RESPONSE_NORMALIZATION": lambda x: tf.nn.local_response_normalization(tf.reshape(x, (1, 4, 4, 4))),
    "NEG": lambda x: -x,
    "POW": lambda x: tf.abs(x) ** 2.5,
    "ROUND": tf.round,
    "SIGN": tf.sign,
    "SIN": tf.sin,
    "SQUARE": tf.square,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WITHOUT_INT8_KERNEL))
def test_the_converter_leaves_these_in_float(name):
    flatbuffer = quantized("int8", lambda x: IN_FLOAT[name](x * 1.5))
    assert {operator.name for operator in read_operators(flatbuffer) if operator.computes_in_float} == {name}
