import numpy as np

from benchmarks.claims import c17_l1_selects_features as c17
from benchmarks.claims.claim import Verdict

REAL, ALL = 10, 10 + c17.USELESS


def fit(real, useless, seed, order=1.0):
    """Weights of the columns; those of the first real one and of a useless one tell the order."""
    weights = np.concatenate([np.full(REAL, real), np.full(c17.USELESS, useless)]) * (1 + 0.01 * seed)
    weights[0] = 1.0 + order
    return {"weights": list(weights), "score": 90.0, "strength": 0.01}


def figures(l1, l2, none=(0.9, 0.9)):
    def fits(pair):
        return [fit(*pair, seed) for seed in range(3)]

    return {"wine": {"none": fits(none), "L1": fits(l1), "L2": fits(l2)}}


def with_one_real_column_lost(found):
    """So that the shares differ by seed."""
    for arm in found["wine"].values():
        arm[0]["weights"][1] = arm[0]["weights"][-1]
    return found


def test_zeros_on_useless_columns_make_the_claim():
    assert c17.judge(figures(l1=(0.8, 0.0), l2=(0.2, 0.1))).verdict is Verdict.HOLDS


def test_zeros_of_l2_and_none_of_l1_break_it():
    assert c17.judge(figures(l1=(0.2, 0.1), l2=(0.8, 0.0))).verdict is Verdict.FAILS


def test_without_zeros_it_is_undecided():
    assert c17.judge(figures(l1=(0.2, 0.1), l2=(0.2, 0.1))).verdict is Verdict.UNDECIDED


def test_a_better_order_of_l2_limits_it():
    found = figures(l1=(0.8, 0.0), l2=(0.2, 0.1))
    for one in found["wine"]["L1"]:
        one["weights"][REAL : REAL + 5] = [0.9] * 5
    assert str(c17.judge(found)).startswith("holds when columns are only kept or not")
