"""What an export did and what was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ExportReport:
    """An exported model, checked and timed. "Plain" is the same conversion of the model without preparation.

    Attributes:
        path: The file.
        batch_size: Size of its batch axis.
        inputs: The inputs of its signature `serve`, by name, with their shapes.
        outputs: The names of its outputs, in the flat order of the Keras model's outputs.
        size_bytes: Size of the file.
        plain_size_bytes: Size of the plain conversion.
        operators: Operator names to counts.
        plain_operators: The same for the plain conversion.
        preparation: What was done to the model before conversion.
        notes: What the reader has to know, such as a check that could not be made.
        latency_ms: Median time of an invocation on one thread, milliseconds; None when the model could not be run.
        plain_latency_ms: The same for the plain conversion.
        latency_ratio: Median over interleaved runs of the time by the plain conversion's.
        max_abs_difference: Largest absolute difference from the Keras model as it was given; None when not run.
        max_relative_difference: Largest difference of an output by that output's largest magnitude.
        mean_abs_difference: Mean absolute difference.
        top1_agreement: Share of samples with the same arg-max, for outputs of the shape `(batch, classes)`.
        verified_samples: Number of samples compared.
    """

    path: Path
    batch_size: int
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    size_bytes: int
    plain_size_bytes: int
    operators: dict[str, int]
    plain_operators: dict[str, int]
    preparation: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    latency_ms: float | None = None
    plain_latency_ms: float | None = None
    latency_ratio: float | None = None
    max_abs_difference: float | None = None
    max_relative_difference: float | None = None
    mean_abs_difference: float | None = None
    top1_agreement: float | None = None
    verified_samples: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The report in the types JSON has."""
        fields = dataclasses.asdict(self)
        return fields | {
            "path": str(self.path),
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "outputs": list(self.outputs),
            "preparation": list(self.preparation),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        """The path, then the figures."""
        return f"{self.path}\n{self.figures()}"

    def figures(self) -> str:
        """A table of the figures beside the plain conversion's, then the operators and notes."""
        rows = [
            ("", "exported", "plain", "ratio"),
            (
                "size",
                _kilobytes(self.size_bytes),
                _kilobytes(self.plain_size_bytes),
                _ratio(self.size_bytes / self.plain_size_bytes),
            ),
            (
                "latency, one thread",
                _milliseconds(self.latency_ms),
                _milliseconds(self.plain_latency_ms),
                _ratio(self.latency_ratio),
            ),
            ("operators", str(sum(self.operators.values())), str(sum(self.plain_operators.values())), ""),
        ]
        lines = _aligned(rows)
        lines.append(f"difference from Keras: {self._difference()}")
        lines.append("operators: " + ", ".join(f"{name} {count}" for name, count in self.operators.items()))
        if self.preparation:
            lines.append("prepared: " + ", ".join(self.preparation))
        lines.extend(f"note: {note}" for note in self.notes)
        return "\n".join(lines)

    def _difference(self) -> str:
        if self.max_abs_difference is None:
            return "not verified"
        text = f"{self.max_abs_difference:.1e} absolute, {self.max_relative_difference:.1e} relative"
        if self.top1_agreement is not None:
            text += f", top-1 agreement {self.top1_agreement:.1%}"
        return f"{text} ({self.verified_samples} samples)"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines: the first column to the left, the figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def _kilobytes(size: int) -> str:
    return f"{size / 1000:,.1f} kB"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} ms"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
