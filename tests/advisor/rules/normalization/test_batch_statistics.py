"""How fast moving averages follow, against averages that are really taken."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.rules.normalization.batch_statistics import (
    PLAIN_MOMENTA,
    RECENT_SHARE,
    TOLERATED_STALE_WEIGHT,
    settled_momentum,
    stale_weight,
)

STEPS = st.integers(1, 100_000)


@pytest.mark.parametrize("momentum", [0.5, 0.9, 0.99])
def test_stale_weight_is_what_an_average_keeps_of_the_steps_before(momentum):
    steps = 2000
    average = 1.0
    for step in range(steps):
        stale = step < steps * (1 - RECENT_SHARE)
        average = momentum * average + (1 - momentum) * stale
    assert stale_weight(momentum, steps) == pytest.approx(average, rel=1e-9)


@given(steps=STEPS)
def test_settled_momentum_is_the_largest_that_follows(steps):
    settled = settled_momentum(steps)
    follows = [momentum for momentum in PLAIN_MOMENTA if stale_weight(momentum, steps) <= TOLERATED_STALE_WEIGHT]
    assert settled == (max(follows) if follows else min(PLAIN_MOMENTA))


@given(steps=STEPS, more=STEPS)
def test_a_longer_run_never_needs_a_smaller_momentum(steps, more):
    assert settled_momentum(steps + more) >= settled_momentum(steps)


def test_momenta_are_plain_and_in_order():
    assert tuple(sorted(set(PLAIN_MOMENTA), reverse=True)) == PLAIN_MOMENTA
    assert np.all((np.array(PLAIN_MOMENTA) > 0) & (np.array(PLAIN_MOMENTA) < 1))
