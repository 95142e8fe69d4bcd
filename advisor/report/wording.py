"""What the reports for people say alike, on the terminal and in HTML."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from advisor.facts import Facts
    from advisor.facts.probes import ProbeFailure
    from advisor.rules import Finding
    from advisor.rules.examination import NotRun

_MISSING = {
    "graph": "a model whose layers can be read",
    "batch_size": "the batch size",
    "compile": "a compiled model",
    "data": "training data",
    "samples": "training data that tells its size",
    "training": "the batch size, the steps per epoch or the epochs",
    "steps": "the steps per epoch and the epochs",
    "history": "the history of an earlier run",
    "validation": "validation data",
}


def counted(number: int, noun: str) -> str:
    """A number and its noun.

    Example:
    >>> counted(1, "layer"), counted(1200, "layer"), counted(2, "info")
    ('1 layer', '1,200 layers', '2 info')
    """
    plural = noun if number == 1 or noun == "info" else f"{noun}s"
    return f"{number:,} {plural}"


def shape_of_model(facts: Facts) -> list[str]:
    """How large the model is, and what for."""
    model = facts.model
    return [counted(len(facts.layers), "layer"), counted(model.params, "parameter"), str(model.family), str(model.task)]


def known_of_run(facts: Facts) -> list[str]:
    """What is known of the training run, the data and the weights."""
    model, training, data = facts.model, facts.training, facts.data
    known = []
    if training.batch_size is not None:
        known.append(f"batch size {training.batch_size:,}")
    if training.replicas > 1:
        known.append(counted(training.replicas, "replica"))
    if training.total_steps is not None:
        known.append(f"{training.total_steps:,} steps in {counted(training.epochs or 0, 'epoch')}")
    if data is not None and data.samples is not None:
        known.append(counted(data.samples, "sample") + (f" of {data.classes} classes" if data.classes else ""))
    if model.trained:
        known.append(f"trained: {model.trained}")
    return known


def alike(findings: Iterable[Finding]) -> Iterable[Sequence[Finding]]:
    """Findings of the same rule that say the same why, together."""
    groups: defaultdict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.code, finding.why].append(finding)
    return groups.values()


def missing(not_run: Iterable[NotRun]) -> list[tuple[str, list[str]]]:
    """What was missing, and the codes of the rules that lacked it."""
    lacking: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for rule in not_run:
        lacking[tuple(rule.missing)].append(rule.code)
    return [(" and ".join(_MISSING[need] for need in needs), codes) for needs, codes in lacking.items()]


def unmeasured(failures: Iterable[ProbeFailure]) -> list[tuple[str, list[str]]]:
    """Why something could not be measured, and the names of the probes."""
    probes: defaultdict[str, list[str]] = defaultdict(list)
    for failure in failures:
        probes[failure.error].append(failure.probe)
    return list(probes.items())
