"""Findings as plain data, in a schema that carries its version. `docs/report.schema.json` describes it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from advisor.facts import ArrayFacts, DataFacts, Facts, TrainingFacts
    from advisor.report.checked import Checked
    from advisor.rewrite import Rewrite
    from advisor.rules import Finding, Fix
    from advisor.rules.examination import Examination
    from advisor.training import TrainingPlan

SCHEMA = "keras-advisor/1"
"""Name and version of the schema. Keys may be added within a version; one that goes or changes its meaning makes a new
version."""


def to_dict(examination: Examination, plan: TrainingPlan) -> dict[str, Any]:
    """An examination and the training plan as plain data: only types that JSON has, and no NaN or infinity.

    Args:
        examination: What the rules said.
        plan: How to train the rewritten model.

    Returns:
        The report.
    """
    report = {
        "schema": SCHEMA,
        "version": version("keras-normpack"),
        "model": _model(examination.facts),
        "data": _data(examination.facts.data),
        "training": _training(examination.facts.training),
        "summary": _summary(examination),
        "findings": [_finding(finding) for finding in examination.findings],
        "not_run": [asdict(rule) for rule in examination.not_run],
        "failures": [asdict(failure) for failure in examination.failures],
        "not_measured": [asdict(failure) for failure in examination.not_measured],
        "plan": plan.to_dict(),
    }
    return {key: plain(value) for key, value in report.items()}


def to_json(examination: Examination, plan: TrainingPlan, indent: int | None = 2) -> str:
    """The report of `to_dict` as JSON text.

    Args:
        examination: What the rules said.
        plan: How to train the rewritten model.
        indent: Spaces per level; None puts everything on one line.

    Returns:
        The text.
    """
    return dumps(to_dict(examination, plan), indent)


def check_to_json(checked: Sequence[Checked], *, of_several: bool) -> str:
    """The reports of a check as JSON text.

    Args:
        checked: Models that were examined.
        of_several: Whether several were to be examined, so that there is a list of reports, however many came of it.

    Returns:
        The text.
    """
    reports = [checked_to_dict(one) for one in checked]
    return json.dumps(reports if of_several else reports[0], indent=2, ensure_ascii=False, allow_nan=False)


def checked_to_dict(checked: Checked) -> dict[str, Any]:
    """The report on one model, with where it comes from, and what was asked for beside it.

    Args:
        checked: The model.

    Returns:
        The report of `to_dict` with `source`, `baseline` and `rewrite`.
    """
    return {
        **to_dict(checked.examination, checked.plan),
        "source": checked.source.name,
        "baseline": {"known": checked.known, "gone": [asdict(identity) for identity in checked.gone]},
        "rewrite": None if checked.rewrite is None else rewrite_to_dict(checked.rewrite),
    }


def rewrite_to_dict(rewrite: Rewrite) -> dict[str, Any]:
    """What a rewrite did as plain data.

    Args:
        rewrite: The rewrite.

    Returns:
        The fixes applied and skipped, the verified difference, the origins of the weights, and the diff of the layers.
    """
    report = {
        "schema": SCHEMA,
        "version": version("keras-normpack"),
        "applied": [
            {"finding": _finding(fix.finding), "round": fix.round, "difference": fix.difference}
            for fix in rewrite.applied
        ],
        "skipped": [{"finding": _finding(fix.finding), "reason": fix.reason} for fix in rewrite.skipped],
        "parity": rewrite.parity,
        "notes": rewrite.notes,
        "weights": {path: asdict(origin) for path, origin in rewrite.weight_map.items()},
        "diff": rewrite.diff.splitlines(),
    }
    return {key: plain(value) for key, value in report.items()}


def dumps(report: Mapping[str, Any], indent: int | None = 2) -> str:
    """Plain data as JSON text."""
    return json.dumps(report, indent=indent, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """A value in the types JSON has.

    NaN and infinity become None, NumPy values Python ones, anything unknown its text.

    Example:
    >>> plain({"shape": (None, 8), "share": np.float32(0.5), "worst": float("inf")})
    {'shape': [None, 8], 'share': 0.5, 'worst': None}
    """
    match value:
        case None | bool():
            return value
        case str() | PathLike():
            return str(value)
        case np.ndarray() | np.generic():
            return plain(value.tolist())
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else None
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case set() | frozenset():
            return sorted(plain(item) for item in value)
    # A layer still to be made is told by the code that makes it.
    code = getattr(value, "code", None)
    return code() if callable(code) else str(value)


def _model(facts: Facts) -> dict[str, Any]:
    model = facts.model
    return {
        "name": facts.graph.model.name,
        "layers": len(facts.layers),
        "params": model.params,
        "family": model.family,
        "task": model.task,
        "compiled": model.compiled,
        "optimizer": model.optimizer,
        "trained": model.trained,
        "target": facts.target,
    }


def _data(data: DataFacts | None) -> dict[str, Any] | None:
    if data is None:
        return None
    return {
        "samples": data.samples,
        "batch_size": data.batch_size,
        "classes": data.classes,
        "modality": data.modality,
        "document_like": data.document_like,
        "class_counts": list(data.class_counts) if data.class_counts is not None else None,
        "counted": data.counted,
        "repeated": data.fingerprints.repeated,
        "looked_at": data.looked_at,
        "inputs": [_array(facts) for facts in data.inputs],
        "target": _array(data.target) if data.target else None,
    }


def _array(facts: ArrayFacts) -> dict[str, Any]:
    # Thousands of features would bury the rest.
    return {key: value for key, value in asdict(facts).items() if not key.startswith("feature_")}


def _training(training: TrainingFacts) -> dict[str, Any]:
    return {
        "batch_size": training.batch_size,
        "steps_per_epoch": training.steps_per_epoch,
        "epochs": training.epochs,
        "replicas": training.replicas,
    }


def _summary(examination: Examination) -> dict[str, int]:
    severities = Counter(finding.severity.value for finding in examination.findings)
    return {
        "findings": len(examination.findings),
        **{severity: severities[severity] for severity in ("error", "warning", "info")},
        "fixable": sum(finding.fix is not None for finding in examination.findings),
        "not_run": len(examination.not_run),
        "failures": len(examination.failures),
        "not_measured": len(examination.not_measured),
        "ignored": len(examination.ignored),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "layers": finding.layers,
        "message": finding.message,
        "why": finding.why,
        "references": [asdict(reference) for reference in finding.references],
        "measurements": [asdict(measurement) for measurement in finding.measurements],
        "fix": _fix(finding.fix),
        "plan": [{"kind": change.kind, "settings": change.settings, "title": change.title} for change in finding.plan],
        "refusal": finding.refusal,
    }


def _fix(fix: Fix | None) -> dict[str, Any] | None:
    if fix is None:
        return None
    edits = [{"edit": type(edit).__name__, "path": edit.path, "description": edit.describe()} for edit in fix.edits]
    return {"title": fix.title, "safety": fix.safety, "edits": edits}
