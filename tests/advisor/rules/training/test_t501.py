import math

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from advisor import advise
from advisor.facts import TrainingFacts
from advisor.rules.training.patience import patience_for

COUNTS = st.none() | st.integers(1, 10**6)


def finding_for(**arguments):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2, activation="softmax")])
    (finding,) = advise(model, select="T501", verbose=0, **arguments).findings
    return finding


@settings(max_examples=100, deadline=None)
@given(COUNTS, COUNTS)
def test_patience_keeps_its_bounds(steps, epochs):
    patience = patience_for(TrainingFacts(steps_per_epoch=steps, epochs=epochs))
    assert 5 <= patience <= 50
    assert epochs is None or patience <= max(5, epochs / 4)


@settings(max_examples=50, deadline=None)
@given(st.integers(10, 1000))
def test_patience_covers_500_steps_where_it_may(steps):
    patience = patience_for(TrainingFacts(steps_per_epoch=steps))
    assert patience * steps >= 500
    assert patience == 5 or (patience - 1) * steps < 500


@pytest.mark.parametrize(
    ("losses", "severity"),
    [
        ([0.9, 0.5, 0.6, 0.7, 0.8], "warning"),
        ([0.9, 0.8, 0.5, 0.6, 0.7], "info"),
        ([0.5] + [0.6] * 2, "info"),
        ([0.9] * 16 + [0.5] + [0.6] * 3, "info"),
        ([0.9] * 15 + [0.5] + [0.6] * 4, "warning"),
        ([math.nan, 0.9, 0.5, math.nan, math.nan, math.nan], "warning"),
        ([math.nan] * 6, "info"),
    ],
)
def test_the_offer_becomes_a_warning_when_the_best_epoch_is_well_past(losses, severity):
    assert finding_for(history={"loss": losses, "val_loss": losses}).severity == severity


def test_the_figures_are_those_of_the_history():
    finding = finding_for(history={"val_loss": [0.9, 0.4, 0.5, 0.6, 0.8]})
    past, ratio = finding.measurements
    assert (past.value, past.samples) == (3, 5)
    assert ratio.value == pytest.approx(2.0)
    assert "epoch 2 of 5" in finding.message


def test_the_plan_stops_on_the_validation_loss_and_restores():
    (change,) = finding_for(steps_per_epoch=50, epochs=100).plan
    assert dict(change.settings) == {"monitor": "val_loss", "patience": 10, "restore_best_weights": True}
