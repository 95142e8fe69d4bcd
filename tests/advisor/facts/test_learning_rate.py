import keras
import pytest
from keras import layers

from advisor.facts import gather_facts, learning_rate
from advisor.graph import read_graph

schedules = keras.optimizers.schedules


class Vaswani(schedules.LearningRateSchedule):
    """Of the first Transformer: it rises, then falls with the root of the step; at step 0 it is a division by 0."""

    def __init__(self, width=512, warmup=4000):
        self.width, self.warmup = width, warmup

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        return self.width**-0.5 * keras.ops.minimum(keras.ops.rsqrt(step), step * self.warmup**-1.5)


class Undefined(schedules.LearningRateSchedule):
    def __call__(self, step):
        raise RuntimeError("not outside of training")


@pytest.mark.parametrize(
    ("given", "initial", "peak", "warmup"),
    [
        (3e-4, 3e-4, 3e-4, False),
        (schedules.CosineDecay(1e-3, 1000), 1e-3, 1e-3, False),
        (schedules.ExponentialDecay(1e-2, 100, 0.5), 1e-2, 1e-2, False),
        (schedules.CosineDecay(1e-5, 9000, warmup_target=1e-3, warmup_steps=1024), 1e-5, 1e-3, True),
        (schedules.PiecewiseConstantDecay([1000], [1e-5, 1e-3]), 1e-5, 1e-3, True),
        # Over in 16 steps, or to less than twice the value: no warm-up to speak of.
        (schedules.CosineDecay(0.0, 50, warmup_target=1e-3, warmup_steps=16), 0.0, 1e-3, False),
        (schedules.PiecewiseConstantDecay([1000], [1e-3, 1.5e-3]), 1e-3, 1.5e-3, False),
    ],
)
def test_a_schedule_is_looked_at_as_a_function_of_the_step(given, initial, peak, warmup):
    found = learning_rate(keras.optimizers.Adam(given))
    assert (found.initial, found.peak) == pytest.approx((initial, peak), rel=1e-3)
    assert found.warmup is warmup


def test_a_schedule_of_ones_own():
    found = learning_rate(keras.optimizers.Adam(Vaswani()))
    assert found.warmup
    assert found.peak == pytest.approx(512**-0.5 * 4096**-0.5, rel=1e-3)


def test_a_schedule_that_does_not_tell():
    assert learning_rate(keras.optimizers.Adam(Undefined())) is None


def test_without_an_optimizer():
    assert learning_rate(None) is None


def test_of_a_model_under_mixed_precision():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, dtype="mixed_float16")])
    assert gather_facts(read_graph(model)).model.learning_rate is None
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05)), "mse")
    assert gather_facts(read_graph(model)).model.learning_rate.initial == pytest.approx(0.05)
