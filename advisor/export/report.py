"""What an export did and what was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from advisor.export.diagnosis import worst
from advisor.export.layer_errors import LayerError
from advisor.export.task_metric import TaskMetric

THREADS = (1, 2)
"""Numbers of threads for which latency is measured."""


@dataclass(frozen=True)
class ExportReport:
    """An exported model, checked and timed beside what Keras's own `model.export(path, format="litert")` makes of it.

    Attributes:
        path: The file.
        batch_size: Size of its batch axis.
        inputs: The inputs of its signature `serve`, by name, with their shapes.
        outputs: The names of its outputs, in the flat order of the Keras model's outputs.
        size_bytes: Size of the file.
        keras_size_bytes: Size of Keras's own export; None where it fails.
        operators: Operator names to counts.
        keras_operators: The same for Keras's own export.
        preparation: What was done to the model before conversion.
        lowered: Which layers are computed in another form, and in which.
        notes: What the reader has to know, such as a check that could not be made.
        latency_ms: Median milliseconds of an invocation by the number of threads; empty when it could not be run.
        keras_latency_ms: The same for Keras's own export.
        latency_ratio: By the number of threads, median over interleaved runs of the time by that of Keras's export.
        max_abs_difference: Largest absolute difference from the Keras model as it was given; None when not run.
        max_relative_difference: Largest difference of an output by that output's largest magnitude.
        mean_abs_difference: Mean absolute difference.
        top1_agreement: Share of samples with the same arg-max, for outputs of the shape `(batch, classes)`.
        verified_samples: Number of samples compared.
        precision: `float32`, or what `quantize` was.
        tolerance: The largest difference that was allowed: relative in float32, else relative root mean square.
        relative_rms_difference: `‖y - k‖ / ‖k‖` over all samples, the largest over the outputs.
        representative_samples: Number of samples that ranges were read off on.
        representative_seed: Seed they were drawn by; None where there are none.
        float_operators: Operators of a model in int8 that compute in float, each with its layer.
        task_metrics: How good the model is on labelled data, in Keras and exported.
        layer_errors: What a quantized model loses in each layer, in the order they are computed.
        advice: What the layers that lose most call for.
    """

    path: Path
    batch_size: int
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    size_bytes: int
    keras_size_bytes: int | None
    operators: dict[str, int]
    keras_operators: dict[str, int]
    preparation: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    latency_ms: Mapping[int, float] = field(default_factory=dict)
    keras_latency_ms: Mapping[int, float] = field(default_factory=dict)
    latency_ratio: Mapping[int, float] = field(default_factory=dict)
    max_abs_difference: float | None = None
    max_relative_difference: float | None = None
    mean_abs_difference: float | None = None
    top1_agreement: float | None = None
    verified_samples: int = 0
    precision: str = "float32"
    tolerance: float | None = None
    relative_rms_difference: float | None = None
    representative_samples: int = 0
    representative_seed: int | None = None
    float_operators: tuple[str, ...] = ()
    task_metrics: tuple[TaskMetric, ...] = ()
    layer_errors: tuple[LayerError, ...] = ()
    advice: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report in the types JSON has."""
        fields = dataclasses.asdict(self)
        return fields | {
            "path": str(self.path),
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "outputs": list(self.outputs),
            "preparation": list(self.preparation),
            "lowered": list(self.lowered),
            "latency_ms": _by_text(self.latency_ms),
            "keras_latency_ms": _by_text(self.keras_latency_ms),
            "latency_ratio": _by_text(self.latency_ratio),
            "notes": list(self.notes),
            "float_operators": list(self.float_operators),
            "task_metrics": [dataclasses.asdict(metric) for metric in self.task_metrics],
            "layer_errors": [dataclasses.asdict(error) for error in self.layer_errors],
            "advice": list(self.advice),
        }

    def __str__(self) -> str:
        """The path, then the figures."""
        return f"{self.path}\n{self.figures()}"

    def figures(self) -> str:
        """A table of the figures beside those of Keras's own export, then the operators and notes."""
        rows = [
            ("", "exported", "by Keras", "ratio"),
            (
                "size",
                _kilobytes(self.size_bytes),
                _kilobytes(self.keras_size_bytes),
                _ratio(self.size_bytes / self.keras_size_bytes if self.keras_size_bytes else None),
            ),
            *(self._latency_row(threads) for threads in THREADS),
            ("operators", str(sum(self.operators.values())), str(sum(self.keras_operators.values()) or "-"), ""),
        ]
        lines = _aligned(rows)
        lines.append(f"precision: {self._precision()}")
        lines.append(f"difference from Keras: {self._difference()}")
        lines.extend(str(metric) for metric in self.task_metrics)
        if self.layer_errors:
            shown = ", ".join(
                f"{e.layer} {_percent(e.added or 0.0)} (of {_percent(e.relative_rms)})"
                for e in worst(self.layer_errors)
            )
            lines.append(f"layers that lose most: {shown}")
        if self.float_operators:
            lines.append("computed in float: " + ", ".join(self.float_operators))
        lines.append("operators: " + ", ".join(f"{name} {count}" for name, count in self.operators.items()))
        if self.preparation:
            lines.append("prepared: " + ", ".join(self.preparation))
        if self.lowered:
            lines.append("written for LiteRT: " + ", ".join(self.lowered))
        lines.extend(f"advice: {line}" for line in self.advice)
        lines.extend(f"note: {note}" for note in self.notes)
        return "\n".join(lines)

    def _latency_row(self, threads: int) -> tuple[str, str, str, str]:
        return (
            f"latency, {threads} thread{'s' if threads > 1 else ''}",
            _milliseconds(self.latency_ms.get(threads)),
            _milliseconds(self.keras_latency_ms.get(threads)),
            _ratio(self.latency_ratio.get(threads)),
        )

    def _precision(self) -> str:
        if not self.representative_samples:
            return self.precision
        return f"{self.precision}, ranges from {self.representative_samples} samples (seed {self.representative_seed})"

    def _difference(self) -> str:
        if self.max_abs_difference is None:
            return "not verified"
        text = f"{self.max_abs_difference:.1e} absolute, {self.max_relative_difference:.1e} relative"
        if self.precision != "float32":
            text += f", {self.relative_rms_difference:.1e} relative root mean square"
        if self.top1_agreement is not None:
            text += f", top-1 agreement {self.top1_agreement:.1%}"
        return f"{text} ({self.verified_samples} samples)"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines: the first column to the left, the figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def _by_text(figures: Mapping[int, float]) -> dict[str, float]:
    return {str(threads): value for threads, value in figures.items()}


def _kilobytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1000:,.1f} kB"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} ms"


def _percent(value: float) -> str:
    return f"{100 * value:.2g}%"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
