"""What a rule is: a subclass of `Rule` marked with `@rule`, one file each under `advisor/rules/`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import keras

from advisor.facts import Facts, LayerFacts, Measurement
from advisor.rules.finding import Confidence, Finding, Fix, PlanChange, Severity
from advisor.rules.references import Reference, reference


class Requirement(StrEnum):
    """What a rule needs to run; a rule whose requirement is not met is listed as not run, never as passed."""

    GRAPH = "graph"
    BATCH_SIZE = "batch_size"
    COMPILE = "compile"
    DATA = "data"
    SAMPLES = "samples"
    TRAINING = "training"
    STEPS = "steps"
    HISTORY = "history"
    VALIDATION = "validation"


@dataclass(frozen=True)
class Case:
    """A model on which a rule is tried.

    Attributes:
        title: What the case shows, as a short noun phrase; it stands on the rule's page.
        model: Builds the model.
        arguments: Keyword arguments of `advise`; a callable value is called to get the argument (data sets).
        expected: For an INVALID case with a fix, builds the model that the rule's own fix must lead to; compared by
            layer classes, arguments and connections, not by names or weights.
    """

    title: str
    model: Callable[[], keras.Model]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    expected: Callable[[], keras.Model] | None = None


class Rule(ABC):
    """Base of all rules.

    A subclass's docstring has the sections `What it does`, `Why it matters`, `Example`, `Fix` and `References` that
    make its page under `docs/rules/`.

    Attributes:
        code: Stable code: a letter for the family and three digits.
        name: Kebab-case name of the defect.
        severity: How much its findings matter.
        requires: What must be known for it to run.
        references: Keys of `advisor/references.toml`, or a `Reference` each.
        confidence: What its findings rest on when nothing was measured.
        VALID: Models on which it must stay silent.
        INVALID: Models on which it must speak.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity]
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.GRAPH})
    references: ClassVar[tuple[str | Reference, ...]] = ()
    confidence: ClassVar[Confidence] = Confidence.CITED
    VALID: ClassVar[Sequence[Case]] = ()
    INVALID: ClassVar[Sequence[Case]] = ()

    @abstractmethod
    def check(self, facts: Facts) -> Iterator[Finding]:
        """Look at the facts and yield what is wrong.

        Args:
            facts: What is known; never the model itself.

        Yields:
            One finding per defect, with edits where there is a fix.
        """

    def finding(
        self,
        *layers: LayerFacts | str,
        message: str,
        why: str,
        fix: Fix | None = None,
        plan: Sequence[PlanChange] = (),
        measurements: Sequence[Measurement] = (),
        severity: Severity | None = None,
    ) -> Finding:
        """A finding of this rule, its code, name, severity and references filled in."""
        return Finding(
            code=self.code,
            name=self.name,
            severity=severity or self.severity,
            layers=tuple(layer if isinstance(layer, str) else layer.path for layer in layers),
            message=message,
            why=why,
            references=tuple(reference(key) for key in self.references),
            measurements=tuple(measurements),
            confidence=Confidence.MEASURED if measurements else self.confidence,
            fix=fix,
            plan=tuple(plan),
        )


def unmet(requirement: Requirement, facts: Facts) -> bool:
    """Whether what a requirement asks for is missing."""
    training = facts.training
    present = {
        Requirement.GRAPH: True,
        Requirement.BATCH_SIZE: training.batch_size is not None,
        Requirement.COMPILE: facts.model.compiled,
        Requirement.DATA: facts.data is not None,
        Requirement.SAMPLES: facts.data is not None and facts.data.samples is not None,
        Requirement.TRAINING: training.is_planned,
        Requirement.STEPS: training.total_steps is not None,
        Requirement.HISTORY: bool(training.history),
        Requirement.VALIDATION: facts.validation is not None,
    }
    return not present[requirement]


CODE_PATTERN = re.compile(r"[A-Z]{1,4}\d{3}")
NAME_PATTERN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
