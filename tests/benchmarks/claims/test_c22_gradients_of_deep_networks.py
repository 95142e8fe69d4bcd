import pytest

from benchmarks.claims import c22_gradients_of_deep_networks as c22
from benchmarks.claims.claim import Verdict


def figures(batch, layer):
    """Powers of ten by which each normalization changes the gradient."""
    changes = {c22.NONE: -4.0, "BN": batch, "LN": layer}

    def seeds(change):
        return [[change + 0.01 * seed, change / 2, 0.0] for seed in range(3)]

    return {
        activation: {arm: {start: seeds(change) for start in c22.STARTS} for arm, change in changes.items()}
        for activation in c22.ACTIVATIONS
    }


def test_the_verdict_follows_the_changes():
    assert c22.judge(figures(0.2, -0.2)).verdict is Verdict.HOLDS
    assert c22.judge(figures(3.0, -3.0)).verdict is Verdict.FAILS
    assert str(c22.judge(figures(3.0, 0.1))) == "holds when the network has LN and ReLU and LN and tanh"


def test_he_keeps_the_gradient_of_rectified_layers_and_half_of_it_does_not():
    kept, lost = (c22.gradients(c22.NONE, "ReLU", scale, seed=0, depth=12)[0] for scale in (1.0, 0.5))
    assert abs(kept) < 0.6
    assert lost == pytest.approx(11 * -0.301, abs=0.6)


def test_batch_norm_makes_the_gradient_grow_by_a_fifth_a_layer():
    assert 10 ** (c22.gradients("BN", "ReLU", 1.0, seed=0, depth=12)[0] / 11) == pytest.approx(1.21, abs=0.06)
