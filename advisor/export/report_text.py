"""An export report as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from advisor.export.report import ExportReport
from advisor.export.report_rows import Row, figure_rows, has_peer, operator_rows, operator_total, statements

COLUMNS = 80


def text_of(report: ExportReport) -> str:
    """The figures in a table, then what was done and is to be known.

    Args:
        report: The report.

    Returns:
        Lines of at most 80 columns, but for words that are longer.
    """
    rows = [
        *((row.label, row) for row in (*figure_rows(report), operator_total(report))),
        *((f"  {row.label}", row) for row in operator_rows(report)),
    ]
    lines = _aligned([_header(report), *(_cells(label, row, report) for label, row in rows)])
    for term, said in statements(report):
        lines.extend(
            textwrap.wrap(
                f"{term}: {said}", COLUMNS, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
            )
        )
    return "\n".join(lines)


def _header(report: ExportReport) -> tuple[str, ...]:
    return ("", "exported", "by Keras", "ratio") if has_peer(report) else ("", "exported")


def _cells(label: str, row: Row, report: ExportReport) -> tuple[str, ...]:
    return (label, row.exported, row.by_keras, row.ratio) if has_peer(report) else (label, row.exported)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines: the first column to the left, the figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
