"""What one run of `check` is about: the models that were examined, and those that could not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from advisor.model_source import Source
    from advisor.report.identity import Identity
    from advisor.rewrite import Rewrite
    from advisor.rules.examination import Examination
    from advisor.training import TrainingPlan


@dataclass(frozen=True)
class Checked:
    """One model that was examined.

    Attributes:
        source: Where it comes from.
        examination: What the rules said; of its findings those that are to be reported.
        plan: How to train the model once it is mended.
        known: How many further findings stand in the baseline.
        gone: What stands in the baseline and is not found any more.
        rewrite: What mending it would do, where that was asked for.
    """

    source: Source
    examination: Examination
    plan: TrainingPlan
    known: int = 0
    gone: tuple[Identity, ...] = ()
    rewrite: Rewrite | None = None


@dataclass(frozen=True)
class Unread:
    """One model that could not be examined.

    Attributes:
        name: As the user wrote it.
        error: Why, in one line.
    """

    name: str
    error: str
