"""Every layer runs on LiteRT's builtin operators alone, and computes there what it computes in Keras."""

import keras
import numpy as np
import pytest

from tests.keras_normpack.cases import all_cases

pytestmark = pytest.mark.tensorflow_only


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_exports_without_flex(case):
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    model = case.model(batch_size=1)
    generator = np.random.default_rng(0)
    for variable in model.variables:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    runner = Interpreter(model_content=converter.convert()).get_signature_runner()
    inputs = case.inputs(1)
    # Keras names the signature's inputs after its own, and the converter keeps their order.
    results = runner(**dict(zip(sorted(runner.get_input_details()), inputs, strict=True)))
    desired = keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0], training=False))
    assert len(results) == len(desired)
    for actual, expected in zip((results[name] for name in sorted(results)), desired, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-5, rtol=1e-5)
