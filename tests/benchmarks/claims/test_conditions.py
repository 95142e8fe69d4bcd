import pytest

from advisor.race.statistics import Interval
from benchmarks.claims.claim import Verdict
from benchmarks.claims.conditions import listed, verdict_of, with_interval

ABOVE, BELOW, AROUND = (Interval(mean, 1.0, 5) for mean in (2.0, -2.0, 0.5))


@pytest.mark.parametrize(
    ("advantages", "verdict", "holding"),
    [
        ({"a": ABOVE, "b": ABOVE}, Verdict.HOLDS, ["a", "b"]),
        ({"a": ABOVE, "b": AROUND}, Verdict.HOLDS_WHEN, ["a"]),
        ({"a": BELOW, "b": ABOVE}, Verdict.HOLDS_WHEN, ["b"]),
        ({"a": BELOW, "b": AROUND}, Verdict.FAILS, []),
        ({"a": AROUND, "b": AROUND}, Verdict.UNDECIDED, []),
    ],
)
def test_the_verdict_says_where_the_claim_holds(advantages, verdict, holding):
    assert verdict_of(advantages) == (verdict, holding)


def test_a_single_seed_decides_nothing():
    assert verdict_of({"a": Interval(9.0, float("inf"), 1)})[0] is Verdict.UNDECIDED


def test_figures_in_words():
    assert with_interval(Interval(3.16, 0.71, 5), "points", signed=True) == "+3.2 ± 0.7 points"
    assert with_interval(Interval(-0.04, 0.71, 5)) == "0.0 ± 0.7"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
