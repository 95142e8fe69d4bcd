from benchmarks.claims import c18_l2_is_not_weight_decay as c18
from benchmarks.claims.claim import Verdict


def figures(apart):
    seeds = [apart, apart + 0.001, apart + 0.002]
    tested = {way: {"share": shares[0], "accuracy": [80.0, 81.0, 82.0]} for way, shares in c18.STRENGTHS.items()}
    return {"apart": {"SGD": [0.0] * 3, "Adam": seeds}, "tested": tested}


def test_the_verdict_follows_the_distance():
    assert c18.judge(figures(0.8)).verdict is Verdict.HOLDS
    assert c18.judge(figures(0.01)).verdict is Verdict.FAILS


def test_under_plain_sgd_both_are_the_same():
    assert c18.distance("SGD", seed=0, steps=20) < 0.01
