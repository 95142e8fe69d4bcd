"""T501: no early stopping planned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import keras
from keras import layers

from advisor.facts import Facts, Measurement
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.registry import rule
from advisor.rules.training.patience import early_stopping

EPOCHS_PAST_BEST = 3
SHARE_PAST_BEST = 0.2
"""A best epoch counts as well before the end when at least 3 epochs and a fifth of the run follow it."""


def _model() -> keras.Model:
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _history(validation: Sequence[float]) -> dict[str, Mapping[str, Sequence[float]]]:
    return {"history": {"loss": [0.5] * len(validation), "val_loss": list(validation)}}


@rule
class NoEarlyStopping(Rule):
    """Training runs for a fixed number of epochs and keeps the last weights, not the best.

    What it does:
        Offers early stopping for every run of more than one epoch, because `fit` takes its callbacks after the advice
        is given. With a history it looks where the validation loss was lowest; when that was well before the end (at
        least 3 epochs and a fifth of the run), the offer becomes a warning with the figures.

    Why it matters:
        The validation loss of a network that overfits falls, then rises. Whoever keeps the weights of the last epoch
        keeps worse ones than the run had in hand, and pays for the epochs that spoilt them.

    Example:
        ```python
        model.fit(x, y, validation_data=val, epochs=100)  # lowest validation loss in epoch 17
        ```

    Fix:
        No change to the model. The training plan adds `EarlyStopping(monitor="val_loss", restore_best_weights=True)`
        with patience = ⌈500 / steps per epoch⌉ epochs, at least 5, at most 50 and at most a quarter of the planned
        epochs; 10 where the steps per epoch are not known.
    """

    code = "T501"
    name = "no-early-stopping"
    severity = Severity.INFO
    requires = frozenset({Requirement.GRAPH, Requirement.TRAINING})
    references = ("prechelt-1998",)

    VALID = (
        Case("a single epoch", _model, {"batch_size": 8, "epochs": 1}),
        Case("a single epoch of many steps", _model, {"batch_size": 8, "epochs": 1, "steps_per_epoch": 5000}),
        Case("a history of one epoch", _model, _history([0.7])),
    )
    INVALID = (
        Case("many epochs planned", _model, {"batch_size": 8, "epochs": 50}),
        Case("epochs not known", _model, {"batch_size": 8, "steps_per_epoch": 100}),
        Case("best epoch well before the end", _model, _history([0.9, 0.6, 0.5, 0.7, 0.8, 0.9])),
        Case("best epoch at the end", _model, _history([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        training = facts.training
        if training.epochs == 1:
            return
        change = early_stopping(training)
        losses = training.history.get("val_loss", [])
        best = _best_epoch(losses)
        if best is not None and len(losses) - best >= max(EPOCHS_PAST_BEST, SHARE_PAST_BEST * len(losses)):
            yield self.finding(
                message=f"the validation loss was lowest in epoch {best} of {len(losses)} ({losses[best - 1]:.4g}) and "
                f"stood at {losses[-1]:.4g} in the last",
                why="The weights of the last epoch are worse than those the run had before.",
                severity=Severity.WARNING,
                plan=(change,),
                measurements=_figures(losses, best),
            )
        else:
            length = "a run of unknown length" if training.epochs is None else f"a run of {training.epochs} epochs"
            yield self.finding(
                message=f"{length} is planned; stop it at the best validation loss and keep those weights",
                why="The validation loss of a network that overfits rises again before the run ends.",
                plan=(change,),
            )


def _best_epoch(losses: Sequence[float]) -> int | None:
    """Number of the epoch with the lowest loss, counted from 1; None where no epoch has a finite one."""
    finite = [epoch for epoch, loss in enumerate(losses, start=1) if math.isfinite(loss)]
    return min(finite, key=lambda epoch: losses[epoch - 1]) if finite else None


def _figures(losses: Sequence[float], best: int) -> tuple[Measurement, ...]:
    epochs = len(losses)
    figures = [Measurement("epochs after the best one", epochs - best, "epochs", epochs, 0, EPOCHS_PAST_BEST)]
    if math.isfinite(losses[-1]) and losses[best - 1] > 0:
        ratio = losses[-1] / losses[best - 1]
        figures.append(Measurement("validation loss, last epoch to best epoch", ratio, "1", epochs, 0, 1.0))
    return tuple(figures)
