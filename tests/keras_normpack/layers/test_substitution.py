"""A call with substituted variables loses neither losses nor updates, also inside another stateless scope."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_normpack import WeightNormalization
from keras_normpack.autodiff import outputs_and_gradients
from keras_normpack.layers.reparameterization.substitution import call_with
from tests.keras_normpack.layers.linear_layers import numpy


class Counting(layers.Dense):
    """A dense layer with everything a call may leave behind: a counter, random draws and a loss."""

    def build(self, input_shape):
        self.calls = self.add_weight(name="calls", shape=(), initializer="zeros", trainable=False)
        self.draws = keras.random.SeedGenerator(0)
        super().build(input_shape)

    def call(self, inputs, training=None):
        self.calls.assign(self.calls + 1)
        self.add_loss(ops.sum(self.kernel))
        return super().call(keras.random.dropout(inputs, 0.5, seed=self.draws))


def test_gradients_flow_to_the_substitute_and_the_variable_stays():
    layer = layers.Dense(2)
    layer.build((None, 3))
    before = numpy(layer.kernel)
    substitute, inputs = ops.full((3, 2), 2.0), ops.ones((1, 3))
    outputs, (gradient,) = outputs_and_gradients(
        lambda kernel: call_with(layer, [(layer.kernel, kernel)], inputs).outputs, [substitute], ops.ones((1, 2))
    )
    np.testing.assert_allclose(numpy(outputs), [[6.0, 6.0]])
    np.testing.assert_allclose(gradient, np.ones((3, 2)))
    np.testing.assert_array_equal(numpy(layer.kernel), before)


def test_nothing_is_carried_out_before_it_is_asked_for():
    layer = Counting(2)
    layer.build((None, 3))
    result = call_with(layer, [(layer.kernel, ops.ones((3, 2)))], ops.ones((1, 3)))
    assert float(numpy(layer.calls)) == 0
    assert {variable.name for variable, _ in result.updates} == {"calls", "seed_generator_state"}
    assert [float(loss) for loss in result.losses] == [6.0]
    assert layer.losses == []
    assert result.carry_out() is result.outputs
    assert float(numpy(layer.calls)) == 1
    assert [float(loss) for loss in layer.losses] == [6.0]


@pytest.mark.parametrize("wrap", [True, False])
def test_a_wrapped_layer_counts_draws_and_penalizes_as_a_plain_one(wrap):
    layer = Counting(2)
    outer = WeightNormalization(layer, data_init=False) if wrap else layer
    outer.build((None, 3))
    seed = numpy(layer.draws.state)
    first, second = outer(np.ones((64, 3)), training=True), outer(np.ones((64, 3)), training=True)
    assert float(numpy(layer.calls)) == 2
    assert (numpy(layer.draws.state) != seed).any()
    assert (numpy(first) != numpy(second)).any()
    assert len(outer.losses) == 1


def test_in_a_stateless_call_its_variables_are_used_and_its_updates_come_back():
    """As the trainer of the JAX backend calls a model."""
    wrapper = WeightNormalization(Counting(2, activity_regularizer="l2"), data_init=False)
    wrapper.build((None, 3))
    kept = [numpy(variable) for variable in wrapper.variables]
    trainable = [ops.full(variable.shape, 2.0) for variable in wrapper.trainable_variables]
    paths = [variable.path.split("/")[-1] for variable in wrapper.non_trainable_variables]
    state = [
        ops.convert_to_tensor(41.0) if path == "calls" else ops.convert_to_tensor(variable.value)
        for path, variable in zip(paths, wrapper.non_trainable_variables, strict=True)
    ]
    outputs, new_state, losses = wrapper.stateless_call(trainable, state, ops.ones((1, 3)), return_losses=True)
    assert float(new_state[paths.index("calls")]) == 42.0
    # Each kernel column is 2 · (2, 2, 2) / ‖(2, 2, 2)‖, each bias 2.
    np.testing.assert_allclose(numpy(losses[0]), 6 * 2 / np.sqrt(3), rtol=1e-6)
    assert len(losses) == 2
    kept_inputs = (numpy(outputs) - 2) / (2 * 2 / np.sqrt(3))
    np.testing.assert_allclose(kept_inputs, np.round(kept_inputs), atol=1e-5)
    for variable, value in zip(wrapper.variables, kept, strict=True):
        np.testing.assert_array_equal(numpy(variable), value)
