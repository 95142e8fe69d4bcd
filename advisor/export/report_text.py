"""An export report as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from advisor.export.report import ExportReport
from advisor.export.report_rows import figure_rows, has_peer, operator_rows, operator_total, statements

COLUMNS = 80
HEADER = ("", "exported", "by Keras", "ratio")


def text_of(report: ExportReport, width: int = COLUMNS) -> str:
    """The figures in a table, then what was done and is to be known.

    Args:
        report: The report.
        width: Columns there are, of which 80 are taken at most; words that are longer take more.

    Returns:
        The lines.
    """
    figures = [(row.label, row.exported, row.by_keras, row.ratio_text) for row in figure_rows(report)]
    total = operator_total(report)
    counts = [(total.label, total.exported, total.by_keras, "")]
    counts += [(f"  {row.label}", row.exported, row.by_keras, "") for row in operator_rows(report)]
    columns = 4 if has_peer(report) else 2
    lines = _aligned([row[:columns] for row in (HEADER, *figures, *counts)])
    for term, said in statements(report):
        lines.extend(
            textwrap.wrap(
                f"{term}: {said}",
                min(width, COLUMNS),
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return "\n".join(lines)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines: the first column to the left, the figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
