"""Every layer runs on LiteRT's builtin operators alone, and computes there what it computes in Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from keras_normpack import BatchNormalization, DropPath, InstanceNormalization, WeightNormalization


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (BatchNormalization(), (8, 8, 4)),
        (InstanceNormalization(), (8, 8, 4)),
        (InstanceNormalization(axis=1), (4, 9)),
        (DropPath(0.3), (8, 8, 4)),
        (WeightNormalization(layers.Dense(3)), (6,)),
        (WeightNormalization(layers.Conv2D(3, 3, activation="relu")), (8, 8, 4)),
        (WeightNormalization(layers.Conv2DTranspose(3, 3)), (8, 8, 4)),
        (WeightNormalization(layers.SeparableConv2D(3, 3)), (8, 8, 4)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, layers.Layer) else str(value),
)
def test_exports_without_flex(layer, shape):
    model = keras.Sequential([keras.Input(shape, batch_size=1), layer])
    generator = np.random.default_rng(0)
    for variable in model.variables:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    inputs = generator.normal(size=(1, *shape)).astype("float32")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(outputs, model(inputs), atol=1e-5)
