import pytest

from benchmarks.claims import c05_less_sensitive_to_the_rate as c05
from benchmarks.claims.claim import Verdict

RATES = [0.01, 0.1, 1.0, 10.0]
WIDE, NARROW = [80.0, 80.0, 80.0, 79.0], [10.0, 80.0, 10.0, 10.0]


def figures(batch_norm, bare):
    arms = {"BN": batch_norm, "none": bare}
    return {
        "rates": RATES,
        "accuracy": {arm: [[one + seed for one in row] for seed in range(3)] for arm, row in arms.items()},
    }


def test_the_verdict_follows_the_widths():
    assert c05.judge(figures(WIDE, NARROW)).verdict is Verdict.HOLDS
    assert c05.judge(figures(NARROW, WIDE)).verdict is Verdict.FAILS
    assert c05.judge(figures(WIDE, WIDE)).verdict is Verdict.UNDECIDED


def test_the_width_is_counted_in_decades():
    assert c05.decades_near_the_best(RATES, WIDE) == pytest.approx(3.0, abs=0.01)
    assert c05.decades_near_the_best(RATES, NARROW) == pytest.approx(2 / 7, abs=0.01)
