"""A training plan in words, and as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from advisor.training.plan import TrainingPlan


def as_data(plan: TrainingPlan) -> dict[str, Any]:
    """The plan as plain data, ready for JSON; None for what it leaves alone."""
    return {
        "weight_decay": plan.weight_decay,
        "clipnorm": plan.clipnorm,
        "learning_rate": plan.learning_rate,
        "early_stopping": _plain(plan.early_stopping),
        "reduce_on_plateau": _plain(plan.reduce_on_plateau),
        "batch_statistics": plan.batch_statistics,
        "augmentation": [spec.code() for spec in plan.augmentation],
        "mixing": plan.mixing.code() if plan.mixing else None,
        "label_smoothing": plan.label_smoothing,
        "batch_size": plan.batch_size,
        "epochs": plan.epochs,
        "objective": asdict(plan.objective) if plan.objective else None,
        "by_hand": [{"kind": change.kind, "title": change.title} for change in plan.by_hand],
    }


def lines_of(plan: TrainingPlan) -> list[tuple[str, str]]:
    """The plan as pairs of a part of the training and what is planned for it."""
    lines = [
        ("optimizer", ", ".join(_optimizer(plan))),
        ("callbacks", ", ".join(_callbacks(plan))),
        ("augmentation", " → ".join(spec.code() for spec in plan.augmentation)),
        ("mixing", plan.mixing.code() if plan.mixing else ""),
        ("labels", f"smoothed by {plan.label_smoothing:g}" if plan.label_smoothing is not None else ""),
        ("loss", f"{plan.objective.loss}, metric {plan.objective.metric}" if plan.objective else ""),
        *(("by hand", change.title) for change in plan.by_hand),
    ]
    return [(name, text) for name, text in lines if text]


def describe(plan: TrainingPlan) -> str:
    """The plan in a few lines."""
    return "\n".join(["Training plan", *(f"  {name}: {text}" for name, text in lines_of(plan))])


def _optimizer(plan: TrainingPlan) -> list[str]:
    settings = []
    if plan.learning_rate is not None:
        settings.append(f"learning rate {plan.learning_rate:g}")
    if plan.clipnorm is not None:
        settings.append(f"gradients clipped to norm {plan.clipnorm:g}")
    if plan.weight_decay is not None:
        settings.append(f"decoupled weight decay {plan.weight_decay:g}, not on biases, normalizations and embeddings")
    return settings


def _callbacks(plan: TrainingPlan) -> list[str]:
    names = ["TerminateOnNaN"]
    if plan.reduce_on_plateau is not None:
        names.append(_call("ReduceLROnPlateau", plan.reduce_on_plateau))
    if plan.early_stopping is not None:
        names.append(_call("EarlyStopping", plan.early_stopping))
    if plan.batch_statistics:
        names.append("PreciseBatchNormalization")
    return names


def _call(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"


def _plain(settings: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return dict(settings) if settings is not None else None
