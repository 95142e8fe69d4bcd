"""What an export report shows, in words: the same for the console and for HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from advisor.export.diagnosis import worst
from advisor.export.layer_errors import LayerError
from advisor.export.report import THREADS, ExportReport

MISSING = "-"


@dataclass(frozen=True)
class Row:
    """A figure of the exported model beside that of Keras's own export.

    Attributes:
        label: What it is.
        exported: Of the exported model.
        by_keras: Of Keras's own export.
        ratio: The first by the second; of latencies as measured side by side, which their medians are not.
    """

    label: str
    exported: str
    by_keras: str = MISSING
    ratio: float | None = None

    @property
    def ratio_text(self) -> str:
        """The ratio as it is shown."""
        return MISSING if self.ratio is None else f"{self.ratio:.2f}"


def has_peer(report: ExportReport) -> bool:
    """Whether there is an export of Keras's own to compare with."""
    return report.keras_size_bytes is not None


def figure_rows(report: ExportReport) -> tuple[Row, ...]:
    """Size, memory and latency."""
    rows = [_row("size", report.size_bytes, report.keras_size_bytes, _kilobytes)]
    if report.arena_bytes is not None:
        rows.append(_row("peak arena memory", report.arena_bytes, report.keras_arena_bytes, _kilobytes))
    if report.format == "tflite":
        rows.extend(_latency_row(report, threads) for threads in THREADS)
    return tuple(rows)


def _latency_row(report: ExportReport, threads: int) -> Row:
    label = f"latency, {threads} thread{'s' if threads > 1 else ''}"
    exported, by_keras = report.latency_ms.get(threads), report.keras_latency_ms.get(threads)
    return _row(label, exported, by_keras, _milliseconds, report.latency_ratio.get(threads))


def operator_rows(report: ExportReport) -> tuple[Row, ...]:
    """Every operator of either export, with the counts; the exported model's come first, in their order."""
    names = dict.fromkeys((*report.operators, *report.keras_operators))
    return tuple(
        Row(name, _count(report.operators.get(name)), _count(report.keras_operators.get(name))) for name in names
    )


def operator_total(report: ExportReport) -> Row:
    """How many operators there are."""
    return Row(
        "operators", _count(sum(report.operators.values())), _count(sum(report.keras_operators.values()) or None)
    )


def statements(report: ExportReport) -> Iterator[tuple[str, str]]:
    """What was found, done and is to be known, as pairs of a term and what is said about it."""
    yield "precision", _precision(report)
    yield "difference from Keras", _difference(report)
    for metric in report.task_metrics:
        yield "task metric", str(metric)
    if report.layer_errors:
        yield "layers that lose most", ", ".join(map(_layer_error, worst(report.layer_errors)))
    if report.float_operators:
        yield "computed in float", ", ".join(report.float_operators)
    if report.preparation:
        yield "prepared", ", ".join(report.preparation)
    if report.lowered:
        yield "written for LiteRT", ", ".join(report.lowered)
    for operator, layers in report.flex.items():
        yield "needs the Flex delegate", f"{operator}, for {', '.join(map(repr, layers))}"
    for advice in report.advice:
        yield "advice", advice
    for note in report.notes:
        yield "note", note


def _row(
    label: str,
    exported: float | None,
    by_keras: float | None,
    write: Callable[[float], str],
    ratio: float | None = None,
) -> Row:
    if ratio is None and exported is not None and by_keras:
        ratio = exported / by_keras
    return Row(
        label, MISSING if exported is None else write(exported), MISSING if by_keras is None else write(by_keras), ratio
    )


def _precision(report: ExportReport) -> str:
    if not report.representative_samples:
        return report.precision
    return (
        f"{report.precision}, ranges from {report.representative_samples} samples (seed {report.representative_seed})"
    )


def _layer_error(error: LayerError) -> str:
    return f"{error.layer} {_percent(error.added or 0.0)} (of {_percent(error.relative_rms)})"


def _difference(report: ExportReport) -> str:
    if report.max_abs_difference is None:
        return "not verified"
    text = f"{report.max_abs_difference:.1e} absolute, {report.max_relative_difference:.1e} relative"
    if report.precision != "float32":
        text += f", {report.relative_rms_difference:.1e} relative root mean square"
    if report.top1_agreement is not None:
        text += f", top-1 agreement {report.top1_agreement:.1%}"
    return f"{text} ({report.verified_samples} samples)"


def _count(number: int | None) -> str:
    return MISSING if number is None else str(number)


def _kilobytes(size: float) -> str:
    return f"{size / 1000:,.1f} kB"


def _percent(value: float) -> str:
    return f"{100 * value:,.0f}%" if value >= 0.1 else f"{100 * value:.2g}%"


def _milliseconds(value: float) -> str:
    return f"{value:.3f} ms"
