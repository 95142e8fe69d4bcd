"""A claim: what is said, how it is measured, and what the figures make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from benchmarks.claims.cells import Cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Figures = dict[str, Any]


class Verdict(Enum):
    """What became of a claim."""

    HOLDS = "holds"
    HOLDS_WHEN = "holds when"
    FAILS = "does not hold"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Judgement:
    """What the figures say.

    Attributes:
        verdict: The verdict.
        result: One or two sentences with the sizes of the effects and their intervals.
        when: On what it depends, to follow "holds when"; empty with any other verdict.
    """

    verdict: Verdict
    result: str
    when: str = ""

    def __post_init__(self) -> None:
        if bool(self.when) != (self.verdict is Verdict.HOLDS_WHEN):
            raise ValueError(
                "a judgement names a condition if, and only if, its verdict is HOLDS_WHEN. "
                f"Received: verdict={self.verdict.name}, when={self.when!r}"
            )

    def __str__(self) -> str:
        return f"{self.verdict.value} {self.when}".rstrip()


@dataclass(frozen=True)
class Run:
    """How thoroughly to measure.

    Attributes:
        seeds: What to train with.
        quick: Whether a few seconds must do, to see that everything runs.
        cells: What was measured before.
    """

    seeds: tuple[int, ...]
    quick: bool = False
    cells: Cells = field(default_factory=Cells)

    def cell(self, measure: Callable[..., Any], **settings: Any) -> Any:
        """`measure(**settings)`, or what it gave before. All that decides the outcome belongs into the settings.

        Args:
            measure: A function of a module; gives plain JSON data.
            settings: Plain JSON data.

        Returns:
            What it gives.
        """
        return self.cells.measured(measure, settings)


@dataclass(frozen=True)
class Claim:
    """A claim to be tested.

    Attributes:
        code: `C01` to `C22`.
        statement: What is said.
        how: How it is measured: data, networks, what is tuned, what is compared.
        measure: Gives the figures, as plain JSON data. What takes long in it is measured by `Run.cell`.
        judge: What the figures say, whichever way they turn out.
        draw: Draws them into an empty figure.
        trains: Whether networks are trained with seeds; what does not is computed once.
    """

    code: str
    statement: str
    how: str
    measure: Callable[[Run], Figures]
    judge: Callable[[Figures], Judgement]
    draw: Callable[[Figures, Figure], None]
    trains: bool = True
