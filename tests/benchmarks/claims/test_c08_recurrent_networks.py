from benchmarks.claims import c08_recurrent_networks as c08
from benchmarks.claims.claim import Verdict


def figures(between, within):
    """Points that each form of LN is ahead of BN, on both sets."""
    arms = {"none": 0, "LN": between, "LN within": within}
    accuracy = {"BN": [70.0, 71.0, 70.0]} | {
        arm: [70.0 + ahead, 71.1 + ahead, 70.0 + ahead] for arm, ahead in arms.items()
    }
    return {name: {"rates": {}, "accuracy": accuracy} for name in c08.SETS}


def test_the_verdict_follows_the_advantages():
    assert c08.judge(figures(4, 4)).verdict is Verdict.HOLDS
    assert c08.judge(figures(-4, -4)).verdict is Verdict.FAILS
    assert c08.judge(figures(0, 0)).verdict is Verdict.UNDECIDED


def test_the_condition_names_the_form_that_wins():
    assert str(c08.judge(figures(-4, 4))) == (
        "holds when it is about LN within on Crop and LN within on ElectricDevices"
    )


def test_every_series_is_read_whole():
    for name, (steps, values) in c08.SETS.items():
        drawn = c08.series(name, seed=0)
        assert drawn.train[0].shape == (3000, steps, values)
        assert drawn.classes > 1
