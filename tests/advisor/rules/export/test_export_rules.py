"""What the export rules say, held against the converter where that takes minutes."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from advisor import advise
from advisor.export.convert import convert
from advisor.export.errors import ExportError
from advisor.export.signature import read_signature
from advisor.litert.operators import operator_table
from advisor.rules.finding import Confidence

VECTOR, IMAGE, VOLUME, MATRIX, SIGNAL = (6,), (8, 8, 3), (4, 4, 4, 2), (3, 3), (64,)


def look(model, code):
    return advise(model, select=code, target="mobile", verbose=0).findings


def model_of(step, shape, dtype="float32"):
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, step(inputs))


def flatbuffer(model):
    return convert(model, read_signature(model, None, 1), tuple(f"y{i}" for i in range(len(model.outputs))))


def positive(x):
    return ops.matmul(x, ops.transpose(x, (0, 2, 1))) + ops.eye(3)


# What to build, the shape and type of its input, and the operator that TensorFlow would have to run.
FLEX = {
    "MaxPooling3D": (layers.MaxPooling3D(), VOLUME, "float32", "MaxPool3D"),
    "AveragePooling3D": (layers.AveragePooling3D(2), VOLUME, "float32", "AvgPool3D"),
    "Resizing bicubic": (layers.Resizing(5, 5, interpolation="bicubic"), IMAGE, "float32", "ResizeBicubic"),
    "Resizing lanczos3": (layers.Resizing(5, 5, interpolation="lanczos3"), IMAGE, "float32", "ScaleAndTranslate"),
    "UpSampling lanczos5": (layers.UpSampling2D(interpolation="lanczos5"), IMAGE, "float32", "ScaleAndTranslate"),
    "UpSampling bicubic": (layers.UpSampling2D(interpolation="bicubic"), IMAGE, "float32", "ResizeBicubic"),
    "transposed, dilated": (layers.Conv2DTranspose(2, 3, dilation_rate=2), IMAGE, "float32", "Conv2DBackpropInput"),
    "multi hot": (layers.CategoryEncoding(5), VECTOR, "int32", "DenseBincount"),
    "count": (layers.CategoryEncoding(5, output_mode="count"), VECTOR, "int32", "DenseBincount"),
    "Hashing": (layers.Hashing(5), VECTOR, "int32", "StringToHashBucketFast"),
    "HashedCrossing": (lambda x: layers.HashedCrossing(5)((x, x)), (1,), "int32", "SparseCross"),
    "IntegerLookup": (lambda x: layers.IntegerLookup(vocabulary=[1, 2])(x), VECTOR, "int32", "LookupTableFindV2"),
    "erf": (ops.erf, VECTOR, "float32", "Erf"),
    "erfinv": (ops.erfinv, VECTOR, "float32", "Erfinv"),
    "tan": (ops.tan, VECTOR, "float32", "Tan"),
    "arcsin": (ops.arcsin, VECTOR, "float32", "Asin"),
    "arccos": (ops.arccos, VECTOR, "float32", "Acos"),
    "arctan": (ops.arctan, VECTOR, "float32", "Atan"),
    "sinh": (ops.sinh, VECTOR, "float32", "Sinh"),
    "cosh": (ops.cosh, VECTOR, "float32", "Cosh"),
    "arcsinh": (ops.arcsinh, VECTOR, "float32", "Asinh"),
    "arccosh": (ops.arccosh, VECTOR, "float32", "Acosh"),
    "arctanh": (ops.arctanh, VECTOR, "float32", "Atanh"),
    "cumprod": (ops.cumprod, VECTOR, "float32", "Cumprod"),
    "argmax": (ops.argmax, VECTOR, "float32", "BitwiseAnd"),
    "cholesky": (lambda x: ops.cholesky(positive(x)), MATRIX, "float32", "Cholesky"),
    "det": (ops.det, MATRIX, "float32", "MatrixDeterminant"),
    "inv": (lambda x: ops.inv(positive(x)), MATRIX, "float32", "MatrixInverse"),
    "qr": (lambda x: ops.qr(x)[0], MATRIX, "float32", "Qr"),
    "svd": (lambda x: ops.svd(x)[0], MATRIX, "float32", "Svd"),
    "eigh": (lambda x: ops.eigh(positive(x))[0], MATRIX, "float32", "SelfAdjointEigV2"),
    "solve": (lambda x: ops.solve(positive(x), x), MATRIX, "float32", "MatrixSolve"),
    "fft": (lambda x: ops.fft((x, x))[0], SIGNAL, "float32", "FFT"),
    "irfft": (lambda x: ops.irfft(ops.rfft(x)), SIGNAL, "float32", "IRFFT"),
    "affine transform": (
        lambda x: ops.image.affine_transform(x, np.ones((1, 8))),
        IMAGE,
        "float32",
        "ImageProjectiveTransformV3",
    ),
    "rgb to hsv": (ops.image.rgb_to_hsv, IMAGE, "float32", "RGBToHSV"),
    "bincount": (lambda x: ops.bincount(x, minlength=4), VECTOR, "int32", "DenseBincount"),
    "searchsorted": (
        lambda x: ops.searchsorted(np.array([0.0, 1.0], "float32"), x[0]),
        VECTOR,
        "float32",
        "LowerBound",
    ),
}
CONVERTED = {
    "Resizing": (layers.Resizing(5, 5), IMAGE, "float32"),
    "one hot": (layers.CategoryEncoding(5, output_mode="one_hot"), VECTOR, "int32"),
    "transposed": (layers.Conv2DTranspose(2, 3), IMAGE, "float32"),
    "Conv3D": (layers.Conv3D(2, 2, strides=2), VOLUME, "float32"),
    "gelu": (ops.gelu, VECTOR, "float32"),
    "sine": (ops.sin, VECTOR, "float32"),
    "top_k": (lambda x: ops.top_k(x, 1)[1], VECTOR, "float32"),
    "spectrogram": (layers.STFTSpectrogram(frame_length=64, frame_step=32, fft_length=64), (256, 1), "float32"),
}


@pytest.mark.parametrize("case", FLEX)
def test_operators_that_are_missing_are_found(case):
    step, shape, dtype, operator = FLEX[case]
    (finding,) = look(model_of(step, shape, dtype), "E704")
    assert f"TensorFlow's {operator}," in finding.message
    assert finding.fix is None


@pytest.mark.parametrize("case", CONVERTED)
def test_what_litert_has_is_not_spoken_of(case):
    assert not look(model_of(*CONVERTED[case]), "E704")


@pytest.mark.slow
@pytest.mark.parametrize("case", FLEX)
def test_the_converter_misses_the_operator_too(case):
    step, shape, dtype, operator = FLEX[case]
    # Keras's tables cannot even be saved with the function that reads them.
    complaint = "untracked" if case == "IntegerLookup" else rf"\b{operator}\b"
    with pytest.raises(ExportError, match=complaint):
        flatbuffer(model_of(step, shape, dtype))


@pytest.mark.slow
@pytest.mark.parametrize("case", CONVERTED)
def test_the_converter_takes_what_is_not_spoken_of(case):
    assert flatbuffer(model_of(*CONVERTED[case]))


def test_a_layer_of_the_users_own_with_the_name_of_one_of_keras():
    class Hashing(layers.Layer):
        def call(self, inputs):
            return inputs

    assert not look(model_of(Hashing(), VECTOR), "E704")


def test_a_subclass_of_a_layer_is_that_layer():
    class Pooling(layers.MaxPooling3D):
        pass

    assert look(model_of(Pooling(), VOLUME), "E704")


@pytest.mark.slow
@pytest.mark.parametrize("cls", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_loops_are_converted_for_a_fixed_batch_size_only(cls):
    import tensorflow as tf

    def converter(batch):
        model = model_of(cls(3), (6, 4))
        call = tf.function(lambda x: model(x, training=False), autograph=False)
        function = call.get_concrete_function(tf.TensorSpec((batch, 6, 4)))
        return tf.lite.TFLiteConverter.from_concrete_functions([function], model)

    assert converter(1).convert()
    with pytest.raises(Exception, match="TensorListReserve"):
        converter(None).convert()


def test_one_finding_per_class_sums_what_its_layers_cost():
    stack = [layers.GroupNormalization(2), layers.LayerNormalization(), layers.GroupNormalization(2)]
    model = keras.Sequential([keras.Input((4, 4, 2)), *stack])
    found = look(model, "E702")
    assert [len(finding.layers) for finding in found] == [2, 1]
    assert "2 GroupNormalization compute" in found[0].message
    assert "320 multiplications and additions" in found[0].message
    milliseconds, lowered, operators, _ = (figure.value for figure in found[0].measurements)
    one = keras.Sequential([keras.Input((4, 4, 2)), layers.GroupNormalization(2)])
    assert operators == 2 * sum(operator_table(flatbuffer(one)).values())
    assert lowered <= 1.05 * milliseconds
    assert f"{operators:.0f} operators and {milliseconds:.2g} ms as written" in found[0].message
    assert found[0].confidence is Confidence.MEASURED


def test_without_time_to_measure_the_arithmetic_is_counted():
    model = keras.Sequential([keras.Input((4, 4, 2)), layers.GroupNormalization(2)])
    (finding,) = advise(model, select="E702", target="mobile", probe_seconds=0, verbose=0).findings
    assert finding.measurements == ()
    assert finding.message.endswith("that a folded batch normalization does not have")


def test_networks_made_for_phones_are_hardly_spoken_of():
    model = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3))
    assert not look(model, ("E702", "E703", "E704", "E705"))
    efficient = keras.applications.EfficientNetB0(weights=None, input_shape=(32, 32, 3))
    (finding,) = look(efficient, ("E702", "E703", "E704", "E705"))
    assert finding.code == "E705"
