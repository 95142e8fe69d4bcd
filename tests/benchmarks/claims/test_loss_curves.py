import keras
import numpy as np
import pytest

from benchmarks.claims.loss_curves import LOST, STEPS_A_POINT, compiled, finite, loss_curve
from benchmarks.claims.restarts import restarted

STEPS = 40


@pytest.fixture
def samples():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(64, 6)).astype("float32")
    return x, (x[:, 0] > 0).astype("int64")


def network(seed):
    keras.utils.set_random_seed(seed)
    hidden = [keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    return keras.Sequential([keras.Input((6,)), *hidden, keras.layers.Dense(2)])


@pytest.mark.parametrize("optimizer", [lambda rate: keras.optimizers.SGD(rate, momentum=0.9), keras.optimizers.Adam])
def test_a_restarted_model_trains_as_a_new_one(samples, optimizer):
    used = compiled(network(1), optimizer(0.5))
    loss_curve(used, samples, steps=STEPS, seed=1)

    again = loss_curve(restarted(used, network(2), 0.02), samples, steps=STEPS, seed=2)
    new = loss_curve(compiled(network(2), optimizer(0.02)), samples, steps=STEPS, seed=2)

    assert len(new) == STEPS // STEPS_A_POINT
    assert new[-1] < new[0]
    np.testing.assert_allclose(again, new, atol=2e-3)


def test_nothing_counts_after_a_loss_that_is_no_number():
    assert finite([1.0, float("nan"), 0.5]) == [1.0, LOST, LOST]
