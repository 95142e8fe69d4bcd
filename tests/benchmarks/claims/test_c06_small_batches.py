import pytest

from benchmarks.claims import c06_small_batches as c06
from benchmarks.claims.claim import Verdict


def figures(batch_norm, tuned, others):
    """Errors that grow by so many points, evenly, from the largest to the smallest batch."""
    grown = {"BN": batch_norm, "BN tuned": tuned, "BN renorm": others, "GN": others, "LN": others}
    last = len(c06.BATCH_SIZES) - 1
    return {
        "rates": {},
        "momenta": {str(size): 0.99 for size in c06.BATCH_SIZES},
        "errors": {
            arm: {
                str(size): [20 + growth * position / last + 0.1 * seed * position / last for seed in range(3)]
                for position, size in enumerate(c06.BATCH_SIZES)
            }
            for arm, growth in grown.items()
        },
    }


def test_the_verdict_follows_the_growth_of_the_error():
    assert c06.judge(figures(10, 8, 0)).verdict is Verdict.HOLDS
    assert c06.judge(figures(-3, -3, 0)).verdict is Verdict.FAILS
    assert c06.judge(figures(-0.1, -0.1, 0)).verdict is Verdict.UNDECIDED


def test_momentum_alone_and_the_others_are_conditions():
    assert "BN with momentum 0.99 gets worse" in c06.judge(figures(10, -1, 0)).when
    assert "GN does not" not in c06.judge(figures(10, 10, 6)).when


def test_an_increase_that_is_surely_small_counts_as_none():
    assert c06.margin([0.4, 0.5, 0.6]).low > 0
    assert c06.margin([1.4, 1.5, 1.6]).high < 0


@pytest.mark.parametrize("arm", c06.TRAINED)
def test_every_arm_builds_at_every_batch_size(arm):
    for size in c06.BATCH_SIZES:
        assert c06.norm(arm, size)
