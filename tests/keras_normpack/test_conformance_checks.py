"""The conformance checks find what they are there to find."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_normpack import kernels
from keras_normpack.testing import check_kernel, check_layer


@keras.saving.register_keras_serializable(package="conformance")
class Scale(keras.layers.Layer):
    """A layer without a fault: multiplies each feature by a weight."""

    def __init__(self, start=1.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start
        self.supports_masking = True

    def build(self, input_shape):
        initializer = keras.initializers.Constant(self.start)
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer=initializer)

    def call(self, inputs):
        return inputs * ops.cast(self.scale, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "start": self.start}


@keras.saving.register_keras_serializable(package="conformance")
class ForgetsAnArgument(Scale):
    def get_config(self):
        return {**super().get_config(), "start": 1.0}


@keras.saving.register_keras_serializable(package="conformance")
class ClaimsAnotherShape(Scale):
    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1)


@keras.saving.register_keras_serializable(package="conformance")
class OverflowsInFloat16(Scale):
    def call(self, inputs):
        return super().call(ops.sqrt(ops.square(inputs * 200)) / 200)


@keras.saving.register_keras_serializable(package="conformance")
class ReturnsFloat32(Scale):
    def call(self, inputs):
        return ops.cast(super().call(inputs), "float32")


@keras.saving.register_keras_serializable(package="conformance")
class StopsTheGradient(Scale):
    def call(self, inputs):
        return inputs * ops.stop_gradient(ops.cast(self.scale, inputs.dtype))


@keras.saving.register_keras_serializable(package="conformance")
class HalvesTheGradient(Scale):
    def call(self, inputs):
        outputs = super().call(inputs)
        return (outputs + ops.stop_gradient(outputs)) / 2


@keras.saving.register_keras_serializable(package="conformance")
class BakesTheBatchSizeIn(Scale):
    def call(self, inputs):
        return super().call(inputs) * ((inputs.shape[0] or 3) / 3)


@keras.saving.register_keras_serializable(package="conformance")
class DropsTheMask(Scale):
    def compute_mask(self, inputs, previous_mask=None):
        return None


@keras.saving.register_keras_serializable(package="conformance")
class KeepsStateOutsideItsWeights(Scale):
    def build(self, input_shape):
        super().build(input_shape)
        self.shift = float(np.random.default_rng().normal())

    def call(self, inputs):
        return super().call(inputs) + self.shift


def formula(inputs, weights):
    return inputs * weights["scale"]


def test_a_layer_without_fault_passes():
    check_layer(Scale, {"start": 2.0}, (3, 4, 5), dynamic_axes=(1,), expected=formula)


@pytest.mark.parametrize(
    ("layer_class", "failed"),
    [
        (ForgetsAnArgument, "config round trip"),
        (ClaimsAnotherShape, "output shape"),
        (OverflowsInFloat16, "dtypes: outputs under mixed_float16"),
        pytest.param(ReturnsFloat32, "dtypes: expected outputs in float64", marks=pytest.mark.tensorflow_only),
        pytest.param(StopsTheGradient, "gradients", marks=pytest.mark.tensorflow_only),
        pytest.param(
            HalvesTheGradient,
            "gradients: gradient to argument 0 of 1 inputs and the weights: expected a difference",
            marks=pytest.mark.tensorflow_only,
        ),
        (DropsTheMask, "masking"),
        pytest.param(
            BakesTheBatchSizeIn, "other batch sizes: outputs for a batch of", marks=pytest.mark.tensorflow_only
        ),
        (KeepsStateOutsideItsWeights, "dtypes|saving loading and cloning"),
    ],
)
def test_a_fault_is_found_and_the_check_named(layer_class, failed):
    with pytest.raises(AssertionError, match=rf"{layer_class.__name__}\(start=2.0\) fails the check of .*({failed})"):
        check_layer(layer_class, {"start": 2.0}, (3, 4, 5))


@keras.saving.register_keras_serializable(package="conformance")
class ScaledSum(Scale):
    def build(self, input_shape):
        super().build(input_shape[0])

    def call(self, inputs):
        return [super().call(inputs[0] + inputs[1]), inputs[0] - inputs[1]]

    def compute_output_shape(self, input_shape):
        return list(input_shape)


def test_several_inputs_and_outputs():
    def sum_and_difference(inputs, weights):
        return [(inputs[0] + inputs[1]) * weights["scale"], inputs[0] - inputs[1]]

    check_layer(ScaledSum, {"start": 2.0}, [(3, 4, 5), (3, 4, 5)], dynamic_axes=(1,), expected=sum_and_difference)
    with pytest.raises(AssertionError, match="check of formula"):
        check_layer(ScaledSum, {}, [(3, 4, 5), (3, 4, 5)], expected=lambda inputs, weights: inputs)


def test_a_wrong_formula_is_found():
    with pytest.raises(AssertionError, match="check of formula: outputs: expected a difference of at most"):
        check_layer(Scale, {}, (3, 4, 5), expected=lambda inputs, weights: inputs + weights["scale"])


def reference(*arguments, **keywords):
    return kernels.reference("batch_normalization")(*arguments, **keywords)


def sample_variance(inputs, *arguments, **keywords):
    outputs, mean, variance = reference(inputs, *arguments, **keywords)
    count = np.prod(inputs.shape[:-1])
    return outputs, mean, variance * count / (count - 1)


def constant_variance(inputs, gamma, beta, axis, epsilon):
    _, mean, variance = reference(inputs, gamma, beta, axis, epsilon)
    return gamma * (inputs - ops.mean(inputs, (0, 1))) * ops.rsqrt(variance + epsilon) + beta, mean, variance


@pytest.mark.parametrize(("function", "result"), [(sample_variance, 2), (constant_variance, 3)])
def test_a_wrong_kernel_is_found_forward_and_backward(function, result, monkeypatch):
    wrong = kernels.Kernel("batch_normalization", function, lambda call: True)
    monkeypatch.setattr(kernels, "kernels", lambda operation: (wrong,))
    with pytest.raises(AssertionError, match=rf"batch_normalization on \(4, 5, 3\) float32, result {result}: expected"):
        check_kernel("batch_normalization", [(4, 5, 3)], dtypes=("float32",))
