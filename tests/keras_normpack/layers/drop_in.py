"""Our layers beside the ones of Keras that they stand in for, on any backend."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_normpack.autodiff import outputs_and_gradients


def pair(ours, theirs, shape, **arguments):
    """A layer of each class with the same random weights."""
    layers = ours(**arguments), theirs(**arguments)
    for layer in layers:
        layer.build(shape)
    values = random_weights(layers[0])
    for layer in layers:
        layer.set_weights(values)
    return layers


def random_weights(layer: keras.layers.Layer) -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    return [generator.uniform(0.5, 1.5, weight.shape) for weight in layer.weights]


def data(shape, dtype="float32") -> tuple[Any, Any]:
    """Inputs and a gradient that comes from above."""
    inputs, cotangent = np.random.default_rng(0).normal(1.0, 2.0, (2, *shape))
    return ops.cast(inputs, dtype), ops.cast(cotangent, dtype)


def passes(layer, inputs, cotangent, **call_arguments) -> list[np.ndarray]:
    """Outputs, gradients to inputs and weights (means over positions, as under a mean loss), the state after."""
    state = [tensor_of(variable) for variable in layer.non_trainable_variables]

    def run(x, *weights):
        outputs, new_state = layer.stateless_call(list(weights), state, x, **call_arguments)
        return (outputs, *new_state)

    weights = [tensor_of(variable) for variable in layer.trainable_variables]
    (outputs, *after), (to_inputs, *to_weights) = outputs_and_gradients(run, [inputs, *weights], cotangent)
    means = [float64(gradient) * gradient.size / math.prod(inputs.shape) for gradient in to_weights]
    return [float64(outputs), float64(to_inputs), *means, *map(float64, after)]


def tensor_of(variable) -> Any:
    return ops.convert_to_tensor(ops.convert_to_numpy(variable), variable.dtype)


def check_interchange(ours, theirs, input_shape, folder, **arguments):
    """Configuration and weights that Keras's layer has saved load into ours, and those of ours into Keras's."""

    def model_with(layer_class):
        inputs = keras.Input(input_shape[1:])
        return keras.Model(inputs, layer_class(**arguments, name="norm")(inputs))

    inputs, _ = data(input_shape)
    for source_class, target_class in ((ours, theirs), (theirs, ours)):
        source, target = model_with(source_class), model_with(target_class)
        source.set_weights(random_weights(source))
        source.save(folder / "model.keras")
        desired = source.predict(inputs, verbose=0)
        target.load_weights(folder / "model.keras")
        np.testing.assert_allclose(target.predict(inputs, verbose=0), desired, atol=1e-6 * abs(desired).max())
        from_config = target_class.from_config(source.get_layer("norm").get_config())
        assert type(from_config) is target_class
        from_config.build(input_shape)
        from_config.set_weights(source.get_layer("norm").get_weights())
        np.testing.assert_allclose(float64(from_config(inputs)), desired, atol=1e-6 * abs(desired).max())


def float64(tensor) -> np.ndarray:
    return ops.convert_to_numpy(ops.cast(tensor, "float64"))


def assert_same(actual, desired, tolerance):
    """Differences count as a share of the largest value, 1 at least."""
    assert len(actual) == len(desired)
    for ours, theirs in zip(actual, desired, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1.0, abs(theirs).max()))
