"""C02, C12 and C13 are computed, not trained: their measurements run here in full where they take no time."""

import numpy as np
import pytest

from benchmarks.claims import c02_layer_norm_by_hand as c02
from benchmarks.claims import c12_groups as c12
from benchmarks.claims import c13_contrast as c13
from benchmarks.claims.claim import Run, Verdict
from benchmarks.claims.records import record_of


def test_layer_norm_by_hand():
    found = c02.measure(Run(()))
    assert c02.judge(found).verdict is Verdict.HOLDS
    assert c02.judge({**found, "output": [[-1.0, 0.0, 1.0]] * 2}).verdict is Verdict.FAILS
    assert c02.judge({**found, "variance": [1.0, 1.0]}).verdict is Verdict.FAILS


def groups(at_the_ends=1e-15, elsewhere=2.0):
    """Differences of group normalization at the ends of which the claim tells, and with other numbers of groups."""
    others = [elsewhere] * (len(c12.GROUPS) - 1)
    ends = {c12.CHANNEL: [*others, at_the_ends], c12.SAMPLE: [at_the_ends, *others]}
    return {
        "groups": list(c12.GROUPS),
        "differences": {precision: dict.fromkeys(c12.LIBRARIES, ends) for precision in c12.EQUAL},
        "instance layer": dict.fromkeys(c12.EQUAL, at_the_ends),
    }


def test_the_ends_of_group_norm_are_equal_to_rounding():
    assert c12.judge(groups()).verdict is Verdict.HOLDS
    assert c12.judge(groups(at_the_ends=1e-6)).verdict is Verdict.FAILS
    assert c12.judge(groups(elsewhere=1e-15)).verdict is Verdict.UNDECIDED


def test_an_instance_layer_that_differs_breaks_the_claim():
    found = groups()
    found["instance layer"]["float64"] = 0.1
    assert c12.judge(found).verdict is Verdict.FAILS


def test_group_norm_by_hand_has_mean_0_and_deviation_1_per_sample():
    x = np.random.default_rng(0).normal(3.0, 20.0, (2, 8, 8, 4))
    for axes in c12.AXES.values():
        np.testing.assert_allclose(c12.by_hand(x, axes).mean(axes), 0.0, atol=1e-12)
        np.testing.assert_allclose(c12.by_hand(x, axes).std(axes), 1.0, atol=1e-5)


def contrasts(small, default):
    """Percent by which outputs move, at the lowest contrast; elsewhere a tenth of it."""

    def moved(worst):
        return [worst, *[worst / 10] * (len(c13.CONTRASTS) - 1)]

    shares = {c13.SMALL: small, c13.LEVELS: small, c13.DEFAULT: default, "LN": 80.0, "BN": 80.0}
    return {
        "contrast": list(c13.CONTRASTS),
        "deviation": 0.2,
        "moved": {name: moved(share) for name, share in shares.items()},
    }


def test_the_verdict_on_contrast_follows_the_outputs():
    assert c13.judge(contrasts(small=0.01, default=0.5)).verdict is Verdict.HOLDS
    assert c13.judge(contrasts(small=50.0, default=80.0)).verdict is Verdict.FAILS
    limited = c13.judge(contrasts(small=0.01, default=80.0))
    assert str(limited) == "holds when the variance of a channel is large beside epsilon"


@pytest.mark.parametrize("name", c13.INSTANCE)
def test_contrast_moved_instance_norm_less_than_the_others(name):
    moved = record_of(c13.CLAIM)["figures"]["moved"]
    assert max(moved[c13.SMALL]) < c13.INVARIANT < min(moved["LN"] + moved["BN"])
    assert np.all(np.array(moved[name]) < moved["LN"])
