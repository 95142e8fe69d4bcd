"""T505: an earlier run whose metrics show what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import singledispatchmethod
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, Measurement
from advisor.facts.learning_curves import judge, judge_so_far
from advisor.facts.verdicts import (
    Divergence,
    NoisyValidation,
    Overfitting,
    Plateau,
    TooFewEpochs,
    Underfitting,
    Verdict,
)
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, PlanChange, Severity
from advisor.rules.normalization.batch_statistics import lags
from advisor.rules.registry import rule
from advisor.rules.training.clipping import clipping
from advisor.rules.training.patience import early_stopping, patience_for

DECAY = 1e-4
_LAG = (
    "It may only seem so: the moving averages of batch normalization lag (N112), which alone makes validation worse "
    "than the model is. If it is so: "
)
SLOWER = 10
LITTLE = 0.1


def _model() -> keras.Model:
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def _falling(constant: float, end: float, epochs: int = 20) -> list[float]:
    return [float(value) for value in (1 - end) * np.exp(-constant * np.arange(epochs) / epochs) + end]


def _history(training: list[float], validation: list[float]) -> dict[str, Any]:
    return {"history": {"loss": training, "val_loss": validation}}


def _rising_at_the_end(start: int, step: float) -> list[float]:
    return [value + step * max(0, epoch - start) for epoch, value in enumerate(_falling(6, 0.1))]


def _jumping() -> list[float]:
    return [value + 0.3 * (epoch % 3 == 1) - 0.2 * (epoch % 5 == 2) for epoch, value in enumerate(_falling(8, 0.3))]


@rule
class PoorLearningCurves(Rule):
    """The metrics of an earlier run show a defect.

    What it does:
        Reads the history of an earlier run: what `fit` returned, its `.history`, or the file of a `CSVLogger`. It
        smooths the curves, and names overfitting, underfitting, divergence, a plateau, a run that ended too early, and
        a validation metric that jumps, each with epochs and figures, where they stand out from the noise between
        epochs. At least 5 epochs are needed, except for a loss that is no longer a number.

    Why it matters:
        What helps against one defect makes another worse: regularization mends overfitting and deepens underfitting, a
        smaller learning rate mends divergence and makes a run that ended too early longer still. The curves tell
        which one it is.

    Example:
        ```python
        history = model.fit(x, y, validation_data=val, epochs=40)  # val_loss 0.31 in epoch 12, 0.55 in the last
        advise(model, history=history)
        ```

    Fix:
        No change to the model. Overfitting: early stopping at the best weights, and decoupled weight decay of 1e-4
        where there is none. Divergence: a tenth of the learning rate and gradients clipped to norm 1. A plateau: half
        the learning rate whenever the validation loss stands still. The message names the rules whose fixes help.
    """

    code = "T505"
    name = "poor-learning-curves"
    severity = Severity.WARNING
    requires = frozenset({Requirement.HISTORY})
    references = ("prechelt-1998",)

    VALID = (
        Case("a run that went well", _model, _history(_falling(6, 0.03), _falling(6, 0.06))),
        Case("too short to tell", _model, _history([0.9, 0.5, 0.4], [0.9, 1.0, 1.1])),
    )
    INVALID = (
        Case("overfitting", _model, _history(_falling(4, 0.0), _rising_at_the_end(8, 0.05))),
        Case("a validation loss that stays behind", _model, _history(_falling(5, 0.0), _falling(8, 0.5))),
        Case("underfitting", _model, _history(_falling(8, 0.85), _falling(8, 0.87))),
        Case("divergence", _model, _history(_rising_at_the_end(8, 0.2), _rising_at_the_end(8, 0.2))),
        Case("a loss that is no longer a number", _model, _history([0.9, float("nan")], [0.9, float("nan")])),
        Case("a plateau", _model, _history(_falling(14, 0.3), _falling(14, 0.33))),
        Case("too few epochs", _model, _history(_falling(1.5, 0.0), _falling(1.5, 0.05))),
        Case("a validation loss that jumps", _model, _history(_falling(8, 0.2), _jumping())),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        verdicts = judge_so_far if facts.training.goes_on else judge
        for verdict in verdicts(facts.training.history):
            yield self._finding(verdict, facts)

    @singledispatchmethod
    def _finding(self, verdict: Verdict, facts: Facts) -> Finding:
        raise NotImplementedError(f"no finding is written for {verdict}")

    @_finding.register
    def _overfitting(self, verdict: Overfitting, facts: Facts) -> Finding:
        what = (
            f"was best in epoch {verdict.best_epoch} of {verdict.epochs} ({verdict.best:.4g}) and {verdict.last:.4g} "
            "in the last"
            if verdict.worsened
            else f"stayed at {verdict.last:.4g} after {verdict.epochs} epochs"
        )
        lagging = any(lags(facts, norm) for norm in facts.batch_norms())
        plan = [early_stopping(facts.training)]
        if facts.model.weight_decay is None:
            plan.append(
                PlanChange("weight_decay", {"weight_decay": DECAY}, f"train with decoupled weight decay of {DECAY}")
            )
        return self._said(
            verdict,
            f"overfitting: `{verdict.metric}` {what}, while training reached {verdict.training:.4g}",
            (_LAG if lagging else "")
            + "The model learns its training samples by heart. More data or augmentation (A4xx), dropout (D2xx), "
            "weight decay (R305) and a smaller model help; early stopping (T501) keeps the best weights.",
            {"value at the end": verdict.last, "best value": verdict.best},
            plan,
            Severity.INFO if lagging else None,
        )

    @_finding.register
    def _underfitting(self, verdict: Underfitting, facts: Facts) -> Finding:
        return self._said(
            verdict,
            f"underfitting: `{verdict.metric}` stands still at {verdict.last:.4g} since epoch {verdict.since} of "
            f"{verdict.epochs}, from {verdict.first:.4g} in the first",
            "The model cannot fit even its training samples. A wider or deeper model, less dropout and smaller "
            "penalties (R304), another learning rate (T503), normalization (N105) and better initial values (T504, "
            "T506) help; or the inputs do not tell what is asked for.",
            {"value at the end": verdict.last, "first value": verdict.first},
        )

    @_finding.register
    def _divergence(self, verdict: Divergence, facts: Facts) -> Finding:
        broken = not np.isfinite(verdict.last)
        what = (
            f"is {verdict.last} from epoch {verdict.epoch} of {verdict.epochs} on"
            if broken
            else f"rose from {verdict.best:.4g} in epoch {verdict.epoch} to {verdict.last:.4g} in the last of "
            f"{verdict.epochs}"
        )
        plan = []
        if facts.model.learning_rate is not None:
            slower = facts.model.learning_rate.peak / SLOWER
            plan.append(
                PlanChange("learning_rate", {"learning_rate": slower}, f"lower the learning rate to {slower:g}")
            )
        if not facts.model.clipping:
            plan.append(clipping())
        return self._said(
            verdict,
            f"divergence: `{verdict.metric}` {what}",
            "Steps overshoot. A smaller learning rate (T503), gradient clipping (T502), normalization (N105) and "
            "scaled inputs help; a value that is no number can also come from log(0), a division by 0 or float16.",
            {} if broken else {"value at the end": verdict.last, "best value": verdict.best},
            plan,
            Severity.ERROR,
        )

    @_finding.register
    def _plateau(self, verdict: Plateau, facts: Facts) -> Finding:
        patience = max(2, patience_for(facts.training) // 2)
        settings = {"monitor": "val_loss", "factor": 0.5, "patience": patience}
        change = PlanChange(
            "reduce_on_plateau", settings, f"halve the learning rate after {patience} epochs without a lower loss"
        )
        return self._said(
            verdict,
            f"plateau: `{verdict.metric}` stands still at {verdict.last:.4g} since epoch {verdict.since} of "
            f"{verdict.epochs}",
            "Steps of one size jump about the minimum without reaching it; smaller ones may go on.",
            {"epochs at a standstill": verdict.epochs - verdict.since + 1},
            [change],
            Severity.INFO,
        )

    @_finding.register
    def _too_few_epochs(self, verdict: TooFewEpochs, facts: Facts) -> Finding:
        slow = abs(verdict.first - verdict.last) < LITTLE * abs(verdict.first)
        why = (
            "The whole run changed it by less than a tenth: the learning rate is probably far too small (T503)."
            if slow
            else "More epochs, or a larger learning rate, would make it better; with early stopping (T501) it does no "
            "harm to plan too many."
        )
        return self._said(
            verdict,
            f"too few epochs: `{verdict.metric}` was still improving when the run ended at {verdict.last:.4g}: the "
            f"last fifth of {verdict.epochs} epochs brought {verdict.share:.0%} of the improvement",
            why,
            {"share of the improvement in the last fifth": verdict.share},
            severity=Severity.INFO,
        )

    @_finding.register
    def _noisy(self, verdict: NoisyValidation, facts: Facts) -> Finding:
        return self._said(
            verdict,
            f"noisy validation: `{verdict.metric}` jumps by {verdict.noise:.3g} from epoch to epoch, "
            f"{verdict.share:.0%} of all that training gained",
            "The best epoch is then a lucky one. More validation samples, a smaller learning rate, larger batches "
            "(N102) and moving averages that follow (N112) make it smoother.",
            {"standard deviation between epochs": verdict.noise},
            severity=Severity.INFO,
        )

    def _said(
        self,
        verdict: Verdict,
        message: str,
        why: str,
        figures: Mapping[str, float],
        plan: list[PlanChange] | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        return self.finding(
            message=message,
            why=why,
            plan=plan or (),
            severity=severity,
            measurements=[
                Measurement(f"{verdict.metric}, {name}", float(value), "1", verdict.epochs, 0)
                for name, value in figures.items()
            ],
        )
