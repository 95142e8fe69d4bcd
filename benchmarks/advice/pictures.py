"""One picture per task: what every arm gained, at every batch size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.advice import arms as arm
from benchmarks.advice.cells import Record
from benchmarks.advice.summary import difference, has, points
from benchmarks.advice.tasks import Task

ZERO, OURS, THEIRS = "#5f6b7a", "#1f6feb", "#9aa4b0"
_OF_THE_ADVISOR = frozenset({arm.STATIC, arm.MEASURED, arm.RACE})


def draw(task: Task, records: Sequence[Record], path: Path) -> None:
    """Draw the gains of a task as an SVG.

    Args:
        task: The task.
        records: Its cells, by batch size.
        path: The file to write.
    """
    names = [name for name in arm.ARMS[1:] if any(has(record, name) for record in records)]
    figure = Figure(figsize=(9, 0.9 + 0.32 * len(names)), layout="constrained", facecolor="white")
    axes = figure.subplots(1, len(records), sharey=True, squeeze=False)[0]
    for panel, record in zip(axes, records, strict=True):
        for row, name in enumerate(names):
            if has(record, name):
                gain = difference(record, name)
                colour = OURS if name in _OF_THE_ADVISOR else THEIRS
                panel.errorbar(gain.mean, row, xerr=gain.half_width, fmt="o", color=colour, capsize=3, markersize=5)
        panel.axvline(0, color=ZERO, linewidth=1)
        panel.set_title(f"batch {record['batch size']}: {points(record, arm.AS_WRITTEN).mean():.1f} as written", size=9)
        panel.set_yticks(range(len(names)), names, size=9)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.tick_params(axis="x", labelsize=8)
        panel.grid(axis="x", alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(f"points of {task.unit} gained over the model as written, 95 % interval", size=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date, so that the same figures make the same file.
    figure.savefig(path, metadata={"Date": None})
