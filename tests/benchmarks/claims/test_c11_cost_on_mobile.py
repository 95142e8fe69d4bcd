from benchmarks.claims import c11_cost_on_mobile as c11
from benchmarks.claims.claim import Verdict


def network(batch, layer):
    """Times by that without normalization, the same for both exports."""

    def ratios(mean):
        return {export: [mean - 0.001, mean, mean + 0.001] for export in c11.EXPORTS}

    return {
        "BN to none": ratios(batch),
        "LN to none": ratios(layer),
        "LN to BN": ratios(layer / batch),
        "operators": {export: {"none": 10, "BN": 10, "LN": 50} for export in c11.EXPORTS},
    }


def figures(batch, layer):
    rows = [{"network": "wide", "norm": norm, "advisor": 1.1, "keras": 2.0} for norm in ("group", "instance")]
    return {"timed": {name: network(batch, layer) for name in ("wide", "narrow")}, "committed": rows}


def test_the_verdict_follows_the_times():
    assert c11.judge(figures(batch=1.5, layer=1.1)).verdict is Verdict.HOLDS
    assert c11.judge(figures(batch=1.0, layer=1.2)).verdict is Verdict.FAILS
    # Within what timings of one file differ by, neither is cheaper.
    assert c11.judge(figures(batch=1.03, layer=1.0)).verdict is Verdict.UNDECIDED


def test_the_condition_says_what_is_left_of_the_claim():
    costly = c11.judge(figures(batch=1.5, layer=1.8))
    assert str(costly) == (
        "holds when it says no more than that BN costs time in the wide network and BN costs time in the narrow network"
    )


def test_the_longer_measurement_has_both_other_norms_on_every_network():
    found = {(row["network"], row["norm"]) for row in c11.committed()}
    assert found == {(name, norm) for name in c11.SHAPES for norm in ("group", "instance")}
