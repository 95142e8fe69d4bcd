"""How many epochs without improvement early stopping should wait."""

from __future__ import annotations

import math

from advisor.facts import TrainingFacts
from advisor.rules.finding import PlanChange

STEPS_TO_IMPROVE = 500
SHORTEST, LONGEST = 5, 50
WITHOUT_STEPS = 10


def patience_for(training: TrainingFacts) -> int:
    """Epochs to wait for an improvement before training stops.

    `patience = ⌈500 / steps per epoch⌉`, at least 5 and at most 50 epochs: an epoch of few steps moves the weights
    little, so more of them must pass before a standstill means anything. It is also at most a quarter of the planned
    epochs (but not below 5), so that there is something left to save. 10 where the steps are not known.

    Args:
        training: The planned run.

    Returns:
        The patience in epochs.

    Example:
    >>> patience_for(TrainingFacts(steps_per_epoch=45, epochs=100))
    12
    >>> patience_for(TrainingFacts(steps_per_epoch=1000, epochs=100))
    5
    """
    if training.steps_per_epoch is None:
        patience = WITHOUT_STEPS
    else:
        patience = min(LONGEST, math.ceil(STEPS_TO_IMPROVE / training.steps_per_epoch))
    if training.epochs is not None:
        patience = min(patience, training.epochs // 4)
    return max(SHORTEST, patience)


def early_stopping(training: TrainingFacts) -> PlanChange:
    """Early stopping with the patience that suits a run."""
    patience = patience_for(training)
    return PlanChange(
        "early_stopping",
        {"monitor": "val_loss", "patience": patience, "restore_best_weights": True},
        f"stop after {patience} epochs without a lower validation loss and keep the best weights",
    )
