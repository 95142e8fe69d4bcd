from benchmarks.claims import c19_augmentation as c19
from benchmarks.claims.claim import Verdict


def figures(gains):
    return {
        title: {
            "chosen": "shift",
            "accuracy": {"none": [50.0, 51.0, 52.0], "shift": [50.5 + gain, 51.0 + gain, 52.0 + gain]},
        }
        for title, gain in gains.items()
    }


def test_the_verdict_follows_the_gains():
    assert c19.judge(figures({"images": 5, "sounds": 5})).verdict is Verdict.HOLDS
    assert c19.judge(figures({"images": -5, "sounds": -5})).verdict is Verdict.FAILS
    assert c19.judge(figures({"images": 0, "sounds": 0})).verdict is Verdict.UNDECIDED
    assert str(c19.judge(figures({"images": 5, "sounds": -5}))) == "holds when it is images"
