import numpy as np
import pytest

from benchmarks.claims import c09_padding as c09
from benchmarks.claims.claim import Verdict


def figures(bare=200.0, masked=1e-4, lost=5.0):
    """Percent by which words move without and with the mask, and points of accuracy that the mask makes."""

    def seeds(value):
        return [[value * (1 + 0.01 * seed)] * len(c09.WIDTHS) for seed in range(3)]

    accuracy = {c09.MASKED: [80.0 + lost, 81.0 + lost, 80.1 + lost], c09.BARE: [80.0, 80.9, 80.0]}
    return {
        "padding": [40.0, 70.0, 85.0, 93.0],
        "moved": {c09.MASKED: seeds(masked), c09.BARE: seeds(bare)},
        "accuracy": dict.fromkeys(c09.TRAINED_WIDTHS, accuracy),
        "curves": {
            condition: {arm: [[one - 5, one] for one in seeds] for arm, seeds in accuracy.items()}
            for condition in c09.TRAINED_WIDTHS
        },
        "padding vector": {c09.MASKED: [0.5], c09.BARE: [20.0]},
    }


def test_the_verdict_follows_statistics_and_accuracy():
    assert c09.judge(figures()).verdict is Verdict.HOLDS
    assert c09.judge(figures(bare=1.0, masked=50.0, lost=-5.0)).verdict is Verdict.FAILS
    assert str(c09.judge(figures(lost=-5.0))) == (
        "holds when it says no more than that the statistics are off without the mask and the mask puts them right"
    )


def test_the_mask_makes_padding_of_no_account():
    vectors = np.random.default_rng(0).normal(2.0, 1.0, (50, 4)).astype("float32")
    words = np.random.default_rng(1).integers(1, 50, (8, 128)) * (np.arange(128) < 90)
    moved = c09.moved(vectors, words)
    assert max(moved[c09.MASKED]) < 1e-2
    assert moved[c09.BARE] == sorted(moved[c09.BARE])
    assert moved[c09.BARE][-1] > 50


def test_without_padding_the_mask_changes_nothing():
    vectors = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    words = np.random.default_rng(1).integers(1, 50, (8, 128))
    moved = c09.moved(vectors, words)
    assert moved[c09.BARE][0] == pytest.approx(0, abs=1e-3)
