from benchmarks.claims import c16_dropout as c16
from benchmarks.claims.claim import Verdict


def figures(dense, convolutional, recurrent):
    """Points that dropout makes of 80 %, by kind of network."""
    gains = {"dense": dense, "CNN": convolutional, "GRU": recurrent}
    return {
        network: {
            "rate": 0.2,
            "without": [80.0, 81.0, 80.0],
            "with": [80.0 + gain, 81.1 + gain, 80.0 + gain],
            "learned": [100.0] * 3,
        }
        for network, gain in gains.items()
    }


def test_the_verdict_follows_the_gains():
    assert c16.judge(figures(4, 4, 0)).verdict is Verdict.HOLDS
    assert c16.judge(figures(-4, -4, 2)).verdict is Verdict.FAILS
    assert c16.judge(figures(0, 0, 0)).verdict is Verdict.UNDECIDED


def test_the_condition_says_what_is_left_of_the_claim():
    assert str(c16.judge(figures(4, 0, 2))) == (
        "holds when it says no more than that it helps dense networks and it helps the GRU less than dense networks"
    )
