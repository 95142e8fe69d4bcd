"""An export report as HTML that needs no other file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from advisor.export.report import ExportReport
from advisor.export.report_rows import Row, figure_rows, has_peer, operator_rows, operator_total, statements

FORMATS = {"tflite": "TFLite", "onnx": "ONNX", "saved_model": "SavedModel"}


@dataclass(frozen=True)
class Bars:
    """A figure drawn as two bars.

    Attributes:
        label: What it is.
        exported: The exported model's, as text.
        by_keras: That of Keras's own export, as text.
        lengths: Both, in percent of the longer one.
    """

    label: str
    exported: str
    by_keras: str
    lengths: tuple[float, float]


def section_of(report: ExportReport) -> str:
    """The report as one `<section>`, with its style in it.

    Args:
        report: The report.
    """
    return _template("section").render(_shown(report))


def page_of(report: ExportReport) -> str:
    """The report as a page of its own.

    Args:
        report: The report.
    """
    return _template("page").render(_shown(report))


def _shown(report: ExportReport) -> dict[str, Any]:
    rows = figure_rows(report)
    return {
        "report": report,
        "format": FORMATS[report.format],
        "rows": rows,
        "bars": [bars for row in rows if (bars := _bars(row)) is not None],
        "operators": operator_rows(report),
        "operator_total": operator_total(report),
        "statements": list(statements(report)),
        "has_peer": has_peer(report),
    }


def _bars(row: Row) -> Bars | None:
    if row.ratio is None:
        return None
    longest = max(row.ratio, 1.0)
    return Bars(row.label, row.exported, row.by_keras, (100 * row.ratio / longest, 100 / longest))


@cache
def _template(name: str) -> Any:
    from jinja2 import DictLoader, Environment, StrictUndefined

    folder = files("advisor.export") / "templates"
    sources = {f"{stem}.html": (folder / f"{stem}.html").read_text("utf-8") for stem in ("section", "page")}
    environment = Environment(
        loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(f"{name}.html")
