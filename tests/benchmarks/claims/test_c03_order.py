import numpy as np
import pytest

from benchmarks.claims import c03_order as c03
from benchmarks.claims.claim import Verdict


def figures(kept=0.0, destroyed=30.0, trained=0.0, seeds=3):
    """Percent of the pairs that are reversed: of what should be kept, of what should not, and once trained."""

    def shares(norm, value):
        return {c03.KEPT[norm]: [value + 0.01 * seed * bool(value) for seed in range(seeds)]} | {
            c03.DESTROYED[norm]: [destroyed + 0.01 * seed * bool(destroyed) for seed in range(seeds)]
        }

    arms = {norm: {c03.START: shares(norm, kept), c03.TRAINED: shares(norm, trained)} for norm in c03.LAYERS}
    return dict.fromkeys(c03.TABLES, arms)


def test_the_verdict_follows_the_orders():
    assert c03.judge(figures()).verdict is Verdict.HOLDS
    assert c03.judge(figures(kept=20.0)).verdict is Verdict.FAILS
    assert c03.judge(figures(destroyed=0.0)).verdict is Verdict.FAILS
    assert str(c03.judge(figures(trained=20.0))) == "holds when gamma and beta of BN and LN are not trained"
    assert c03.judge(figures(trained=20.0, seeds=1)).verdict is Verdict.UNDECIDED


def test_pairs_are_counted_that_change_places():
    before = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 2.0]])
    assert c03.reversed_pairs(before, before) == 0
    assert c03.reversed_pairs(before, -before) == 100
    # Of the three pairs of the first column one changes; the second has two that are not equal.
    after = np.array([[2.0, 0.0], [1.0, 5.0], [3.0, 6.0]])
    assert c03.reversed_pairs(before, after) == pytest.approx(100 / 5)


def test_a_trained_scale_below_zero_reverses_the_samples_of_batch_norm():
    layer = c03.LAYERS["BN"]()
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    assert c03.reversals(layer, x)[c03.SAMPLES] == 0
    layer.gamma.assign([-1.0, 1.0, 1.0])
    assert c03.reversals(layer, x)[c03.SAMPLES] == pytest.approx(100 / 3, abs=1e-3)
