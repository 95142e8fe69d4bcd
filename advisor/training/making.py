"""From findings to the training plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from advisor.facts import Facts
from advisor.graph import LayerSpec
from advisor.graph.keras_internals import compile_arguments
from advisor.rules import Finding, PlanChange
from advisor.training.objective import Objective, UnclearObjectiveError, infer_objective
from advisor.training.plan import TrainingPlan
from advisor.training.soft_labels import SoftLabelsError, for_soft_labels, takes_class_numbers

CARRIED_OUT = frozenset(
    [
        "early_stopping",
        "weight_decay",
        "gradient_clipping",
        "learning_rate",
        "reduce_on_plateau",
        "label_smoothing",
        "augmentation",
        "mixing",
        "batch_statistics",
    ]
)
"""Kinds of `PlanChange` that a plan carries out by itself."""

_OF_LABELS = ("label_smoothing", "mixing")
_OF_DATA = ("augmentation", "mixing")


def make_plan(findings: Sequence[Finding], facts: Facts) -> TrainingPlan:
    """Put a training plan together.

    Args:
        findings: What the rules found; where two ask for the same kind of change, the first wins. Augmentation is
            joined, in the order of the findings.
        facts: Facts of the model, its data and the planned run.

    Returns:
        The plan.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    >>> make_plan([], gather_facts(read_graph(model))).objective.loss
    'BinaryCrossentropy'
    """
    objective, unclear = None, None
    if not facts.model.compiled:
        try:
            objective = infer_objective(facts)
        except UnclearObjectiveError as error:
            unclear = str(error)
    changes, by_hand = _sorted_out(findings, facts, objective)
    settings = {kind: change.settings for kind, change in changes.items()}
    return TrainingPlan(
        weight_decay=_number(settings, "weight_decay", "weight_decay"),
        early_stopping=_arguments(settings, "early_stopping"),
        augmentation=_layers(findings) if "augmentation" in settings else (),
        batch_size=facts.training.batch_size,
        epochs=facts.training.epochs,
        objective=objective,
        unclear=unclear,
        by_hand=by_hand,
        clipnorm=_number(settings, "gradient_clipping", "clipnorm"),
        learning_rate=_number(settings, "learning_rate", "learning_rate"),
        reduce_on_plateau=_arguments(settings, "reduce_on_plateau"),
        label_smoothing=_number(settings, "label_smoothing", "label_smoothing"),
        mixing=settings["mixing"]["layer"] if "mixing" in settings else None,
        batch_statistics="batch_statistics" in settings,
        classes=_class_numbers(facts, objective) if any(kind in settings for kind in _OF_LABELS) else None,
        input_rank=_input_rank(facts),
    )


def _sorted_out(
    findings: Sequence[Finding], facts: Facts, objective: Objective | None
) -> tuple[dict[str, PlanChange], tuple[PlanChange, ...]]:
    """The first change of each kind that the plan carries out, and what is left to be done by hand, with the reason."""
    changes: dict[str, PlanChange] = {}
    for finding in findings:
        for change in finding.plan:
            changes.setdefault(change.kind, change)
    by_hand = []
    for kind, change in list(changes.items()):
        reason = _obstacle(kind, facts, objective)
        if kind not in CARRIED_OUT or reason:
            by_hand.append(replace(change, title=f"{change.title} ({reason})") if reason else change)
            del changes[kind]
    return changes, tuple(by_hand)


def _obstacle(kind: str, facts: Facts, objective: Objective | None) -> str | None:
    """Why a change cannot be carried out on this model; None where it can."""
    if kind in (*_OF_DATA, *_OF_LABELS) and facts.data is not None and facts.data.prepares_itself:
        return "the batches are made by code of your own: change them there, or give arrays or a tf.data.Dataset"
    if kind in _OF_DATA and _input_rank(facts) is None:
        return "the plan changes the data of models with one input only"
    if kind not in _OF_LABELS:
        return None
    if len(facts.model.heads) != 1:
        return "the plan changes the labels of models with one output only"
    arguments = _compiled_with(facts, objective)
    if not arguments:
        return None  # `compile` says what is missing
    try:
        for_soft_labels(arguments, None)
    except SoftLabelsError as error:
        return str(error)
    return None


def _compiled_with(facts: Facts, objective: Objective | None) -> Mapping[str, Any]:
    given = compile_arguments(facts.graph.model)
    return given or (objective.compile_arguments() if objective else {})


def _class_numbers(facts: Facts, objective: Objective | None) -> int | None:
    """Number of classes where labels are class numbers; None where they are one-hot or there are no classes."""
    sparse = takes_class_numbers(_compiled_with(facts, objective))
    return facts.model.heads[0].units if sparse and facts.model.heads else None


def _input_rank(facts: Facts) -> int | None:
    inputs = facts.graph.inputs
    return len(inputs[0].output_shapes[0]) if len(inputs) == 1 else None


def _layers(findings: Sequence[Finding]) -> tuple[LayerSpec, ...]:
    """All augmentation layers, the first of every class."""
    layers: dict[Any, LayerSpec] = {}
    for finding in findings:
        for change in finding.plan:
            if change.kind == "augmentation":
                for spec in change.settings["layers"]:
                    layers.setdefault(spec.cls, spec)
    return tuple(layers.values())


def _number(settings: Mapping[str, Mapping[str, Any]], kind: str, name: str) -> float | None:
    return float(settings[kind][name]) if kind in settings else None


def _arguments(settings: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, Any] | None:
    return dict(settings[kind]) if kind in settings else None
