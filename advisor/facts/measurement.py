"""One measured figure."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.figures import as_figure


@dataclass(frozen=True)
class Measurement:
    """A figure measured on the user's model and data.

    Attributes:
        name: What was measured.
        value: The figure.
        unit: Its unit; "1" for a ratio.
        samples: How many samples it rests on.
        seed: Seed of whatever was drawn at random.
        threshold: The value the rule compares it with, or None.
    """

    name: str
    value: float
    unit: str
    samples: int
    seed: int
    threshold: float | None = None

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        return f"{self.name}: {as_figure(self.value)}{unit} ({self.samples} samples, seed {self.seed})"
