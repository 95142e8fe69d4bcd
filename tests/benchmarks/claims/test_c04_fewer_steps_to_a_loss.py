from benchmarks.claims import c04_fewer_steps_to_a_loss as c04
from benchmarks.claims.claim import Verdict
from benchmarks.claims.loss_curves import LOST


def falling(reached_at, noise=0):
    """A curve that is at the target from so many points on."""
    return [2.0] * (reached_at + noise) + [0.5] * (30 - reached_at - noise)


def figures(batch_norm, bare):
    """The same at both depths; a number for each arm, at which its curves reach the target."""
    return {
        depth: {
            arm: {"rate": 0.1, "curves": [falling(point, noise) for noise in (0, 1, 0)]}
            for arm, point in (("BN", batch_norm[number]), ("none", bare[number]))
        }
        for number, depth in enumerate(c04.PER_STAGE)
    }


def test_the_verdict_follows_the_curves():
    assert c04.judge(figures((8, 8), (20, 20))).verdict is Verdict.HOLDS
    assert c04.judge(figures((20, 20), (8, 8))).verdict is Verdict.FAILS
    assert c04.judge(figures((8, 8), (8, 8))).verdict is Verdict.UNDECIDED
    only_deep = c04.judge(figures((8, 8), (8, 20)))
    assert str(only_deep) == "holds when the network has 9 convolutions"


def test_a_loss_counts_when_the_mean_of_a_window_is_there():
    assert c04.steps_to([2.0, 0.1, 2.0, 0.7, 0.7, 0.7], 0.8) == 60
    assert c04.steps_to([2.0] * 6, 0.8) == 70
    assert c04.steps_to([2.0, LOST, LOST, LOST], 0.8) == 50
