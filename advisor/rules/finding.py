"""Findings: what a rule says, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from advisor.facts import Measurement
from advisor.graph import Edit
from advisor.rules.references import Reference

Safety = Literal["exact", "retrain"]


class Severity(StrEnum):
    """How much a finding matters: an `error` makes training wrong, a `warning` costs quality, `info` is an offer."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Confidence(StrEnum):
    """What a finding rests on: a measurement on the user's data, a published result, or experience."""

    MEASURED = "measured"
    CITED = "cited"
    HEURISTIC = "heuristic"


@dataclass(frozen=True)
class Fix:
    """How to mend a finding.

    Attributes:
        title: What the fix does, in the imperative: `drop the bias of conv1`.
        edits: Applied together or not at all.
        safety: `exact` keeps the function at inference; `retrain` changes it or how it trains.
    """

    title: str
    edits: tuple[Edit, ...]
    safety: Safety


@dataclass(frozen=True)
class PlanChange:
    """What a finding asks of the training run rather than of the model.

    Attributes:
        kind: One of

            - `early_stopping`: arguments of `keras.callbacks.EarlyStopping`
            - `weight_decay`: `{"weight_decay": 1e-4}`, decoupled
            - `gradient_clipping`: `{"clipnorm": 1.0}`
            - `learning_rate`: `{"learning_rate": 1e-3}`
            - `reduce_on_plateau`: arguments of `keras.callbacks.ReduceLROnPlateau`
            - `label_smoothing`: `{"label_smoothing": 0.1}`
            - `augmentation`: `{"layers": (LayerSpec, …)}`, applied to the training inputs
            - `mixing`: `{"layer": LayerSpec}`, MixUp or CutMix, applied to training inputs and labels
            - `batch_statistics`: `{}`, moving averages recomputed after training by `PreciseBatchNormalization`
            - `transfer`: `{"backbone": name}`, a pretrained backbone and two phases of training

        settings: Arguments, such as `{"patience": 8}`.
        title: What it does, in the imperative.
    """

    kind: str
    settings: Mapping[str, Any]
    title: str


@dataclass(frozen=True)
class Finding:
    """One thing a rule found.

    Attributes:
        code: The rule's code, such as `N101`.
        name: The rule's name, such as `bias-before-norm`.
        severity: How much it matters.
        layers: Paths of the nodes it is about; empty when it is about the whole run.
        message: What was found, in one sentence.
        why: Why it matters.
        references: Where that is known from.
        measurements: Figures measured on the user's data.
        confidence: What the finding rests on.
        fix: How to mend the model, or None.
        plan: What to change in the training run.
        refusal: Why the fix cannot be applied, with the code to write by hand; None where it can, or there is none.
    """

    code: str
    name: str
    severity: Severity
    layers: tuple[str, ...]
    message: str
    why: str
    references: tuple[Reference, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    confidence: Confidence = Confidence.CITED
    fix: Fix | None = None
    plan: tuple[PlanChange, ...] = field(default=())
    refusal: str | None = None

    @property
    def layer(self) -> str | None:
        """The first path, or None."""
        return self.layers[0] if self.layers else None
