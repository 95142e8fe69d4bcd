"""When a difference may be called one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.race.statistics import FEWEST_SAMPLES, difference_of_scores, interval, paired_difference


def answers(generator, seeds, samples, ability, *, over_seeds):
    """Right answers of a model: hard and easy samples, and seeds of which some turn out better."""
    seed = generator.normal(0, over_seeds, (seeds, 1))
    return (ability + seed + generator.normal(0, 1, (seeds, samples)) > 0).astype("float64")


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("samples", [40, 400])
@pytest.mark.parametrize("over_seeds", [0.0, 0.1, 0.5])
def test_two_identical_candidates_seldom_seem_to_differ(seeds, samples, over_seeds):
    generator = np.random.default_rng(1)
    claims = 0
    for _ in range(300):
        difficulty = 1.5 + generator.normal(0, 1.5, (1, samples))
        ours, theirs = (answers(generator, seeds, samples, difficulty, over_seeds=over_seeds) for _ in range(2))
        claims += difference_of_scores(ours, theirs).excludes_zero
    # 5 % of 300 are 15, with a standard error of 3.8.
    assert claims <= 15 + 2 * 3.8


def test_a_difference_that_is_there_is_found():
    generator = np.random.default_rng(2)
    ours, theirs = (answers(generator, 3, 1000, ability, over_seeds=0.02) for ability in (1.0, 0.5))
    found = difference_of_scores(ours, theirs)
    assert found.excludes_zero
    # Φ(1.0) - Φ(0.5) = 0.841 - 0.691
    assert found.low < 0.150 < found.high


def test_the_same_trainings_on_fewer_samples_tell_less():
    generator = np.random.default_rng(3)
    ours, theirs = (answers(generator, 3, 2000, ability, over_seeds=0.0) for ability in (1.0, 0.9))
    few, many = (difference_of_scores(ours[:, :n], theirs[:, :n]).half_width for n in (200, 2000))
    assert few > 2 * many


def test_three_trainings_on_two_hundred_samples_do_not_tell_a_point():
    generator = np.random.default_rng(4)
    difficulty = 1.5 + generator.normal(0, 1.5, (1, 200))
    ours, theirs = (answers(generator, 3, 200, difficulty, over_seeds=0.0) for _ in range(2))
    assert difference_of_scores(ours, theirs).half_width > 0.01


def test_seeds_that_disagree_widen_the_interval():
    theirs = np.zeros((3, 100))
    steady = theirs + 0.5
    unsteady = theirs + np.array([[0.1], [0.5], [0.9]])
    assert difference_of_scores(steady, theirs).half_width == 0
    assert difference_of_scores(unsteady, theirs).half_width == pytest.approx(interval([0.1, 0.5, 0.9]).half_width)


@pytest.mark.parametrize("shape", [(1, 1000), (3, FEWEST_SAMPLES - 1)])
def test_a_single_seed_or_few_samples_claim_nothing(shape):
    found = difference_of_scores(np.ones(shape), np.zeros(shape))
    assert found.mean == 1
    assert math.isinf(found.half_width)
    assert not found.excludes_zero


@settings(max_examples=50)
@given(
    st.integers(2, 5), st.integers(FEWEST_SAMPLES, 60), st.integers(0, 2**32 - 1), st.floats(0.1, 10), st.floats(-5, 5)
)
def test_an_interval_turns_with_its_sign_and_grows_with_its_unit(seeds, samples, seed, unit, shift):
    ours, theirs = np.random.default_rng(seed).normal(size=(2, seeds, samples))
    there, back = difference_of_scores(ours, theirs), difference_of_scores(theirs, ours)
    assert (there.mean, there.half_width) == pytest.approx((-back.mean, back.half_width))
    other = difference_of_scores(unit * ours + shift, unit * theirs + shift)
    assert (other.mean, other.half_width) == pytest.approx((unit * there.mean, unit * there.half_width), abs=1e-9)


@pytest.mark.parametrize(("ours", "theirs"), [((2, 40), (3, 40)), ((40,), (40,)), ((0, 40), (0, 40))])
def test_scores_that_do_not_match_are_refused(ours, theirs):
    with pytest.raises(ValueError, match=r"\(seeds, samples\).*Received"):
        difference_of_scores(np.zeros(ours), np.zeros(theirs))


def test_paired_differences_leave_out_what_seeds_share():
    found = paired_difference([0.9, 0.5, 0.7], [0.8, 0.4, 0.6])
    assert found.excludes_zero
    assert found.mean == pytest.approx(0.1)


def test_no_values_have_no_interval():
    with pytest.raises(ValueError, match="at least one value"):
        interval([])


def test_a_standing_has_the_interval_of_its_values():
    from advisor.race.result import Standing

    def standing(values, failure=None):
        return Standing("a", "a", (), 0.0, 0.0, values, None, None, "final", 1, 1.0, failure)

    assert standing((1.0, 2.0, 3.0)).level == interval([1.0, 2.0, 3.0])
    assert standing((1.0,), failure="it broke").level is None
    assert standing(()).level is None
