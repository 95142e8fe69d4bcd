from benchmarks.claims import c14_weight_normalization as c14
from benchmarks.claims.claim import Verdict

STEADY, SHAKEN = [79.0, 80.0, 79.0], [20.0, 80.0, 20.0]


def figures(plain, normalized, change=1e-7):
    rows = {c14.PLAIN: plain, c14.COPIED: normalized, c14.FROM_DATA: normalized}
    arms = {
        arm: {"rate": 0.1, "accuracy": [[one + seed for one in row] for seed in range(3)]} for arm, row in rows.items()
    }
    return {
        "scales": [0.1, 1.0, 10.0],
        "trained": dict.fromkeys(c14.RATES, arms),
        "separation": [{"change of the outputs": change, "gradient along the direction": 1e-7}] * 3,
    }


def test_the_verdict_follows_the_figures():
    assert c14.judge(figures(SHAKEN, STEADY)).verdict is Verdict.HOLDS
    assert c14.judge(figures(STEADY, SHAKEN)).verdict is Verdict.FAILS
    assert c14.judge(figures(STEADY, STEADY)).verdict is Verdict.UNDECIDED


def test_without_separation_nothing_else_helps():
    assert c14.judge(figures(SHAKEN, STEADY, change=0.3)).verdict is Verdict.FAILS


def test_the_condition_names_the_way_that_helps():
    found = figures(SHAKEN, STEADY)
    found["trained"] = {name: {**arms, c14.COPIED: arms[c14.PLAIN]} for name, arms in found["trained"].items()}
    assert str(c14.judge(found)) == "holds when the first batch sets the lengths (under SGD and Adam)"


def test_the_layer_separates_length_and_direction():
    assert max(c14.separation(0).values()) < c14.SAME
