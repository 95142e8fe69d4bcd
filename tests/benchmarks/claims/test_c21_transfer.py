import numpy as np

from benchmarks.claims import c21_transfer as c21
from benchmarks.claims.claim import Verdict


def figures(gains):
    """Points that transfer makes, by number of images."""
    scratch = {"5": [40.0, 41.0, 42.0], "40": [60.0, 61.0, 62.0]}
    transfer = {
        size: [one + gains[size] + 0.1 * seed for seed, one in enumerate(runs)] for size, runs in scratch.items()
    }
    return {"CIFAR-10": {c21.SCRATCH: scratch, c21.TRANSFER: transfer}}


def test_the_verdict_follows_the_gains():
    assert c21.judge(figures({"5": 20, "40": 10})).verdict is Verdict.HOLDS
    assert c21.judge(figures({"5": -20, "40": -10})).verdict is Verdict.FAILS
    assert str(c21.judge(figures({"5": 20, "40": -10}))) == "holds when there are 5 images a class of CIFAR-10"


def test_smaller_sets_are_part_of_the_larger_ones():
    y = np.repeat(np.arange(3), 5)
    x = np.arange(15.0)
    small, labels = c21.first_of_each_class((x, y), 2)
    assert small.tolist() == [0, 1, 5, 6, 10, 11]
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
