"""An earlier training run, read from what it left behind."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class HistoryRecord:
    """What an earlier run tells.

    Attributes:
        metrics: Values per epoch, by metric name; NaN where an epoch has none.
        epochs: Epochs that were planned, or run where that is not known; None without a run.
        steps: Steps per epoch, where known.
    """

    metrics: dict[str, list[float]] = field(default_factory=dict)
    epochs: int | None = None
    steps: int | None = None


def read_history(history: Any) -> HistoryRecord:
    """Read the metrics of an earlier run.

    Metrics that give several numbers per epoch, as an F1 score per class, are left out. Of a file that several runs
    were appended to, a run that starts again at epoch 0 is taken to go on with the weights of the one before; one that
    starts at a later epoch, as a run resumed from a checkpoint does, replaces the epochs it repeats.

    Args:
        history: What `fit` returned, its `.history` dict of lists, the path of a file written by
            `keras.callbacks.CSVLogger` with any separator, or None.

    Returns:
        What it tells; empty for None.

    Raises:
        ValueError: If it is none of these.
        FileNotFoundError: If there is no file at the path.

    Example:
    >>> read_history({"loss": [0.9, 0.5]})
    HistoryRecord(metrics={'loss': [0.9, 0.5]}, epochs=2, steps=None)
    """
    if history is None:
        return HistoryRecord()
    if isinstance(history, (str, os.PathLike)):
        return _recorded(_read_csv(Path(history)), {})
    records = getattr(history, "history", history)
    if not isinstance(records, Mapping) or not all(_is_list(values) for values in records.values()):
        raise ValueError(
            "`history` must be what `fit` returned, its `.history` dict of lists, or the path of a CSVLogger file. "
            f"Received: {type(history).__name__}"
        )
    return _recorded(records, getattr(history, "params", None) or {})


def _is_list(values: Any) -> bool:
    return isinstance(values, (list, tuple)) or (isinstance(values, np.ndarray) and values.ndim > 0)


def _recorded(records: Mapping[str, Sequence[Any]], planned: Mapping[str, Any]) -> HistoryRecord:
    metrics = {name: numbers for name, values in records.items() if (numbers := _numbers(values)) is not None}
    run = max(map(len, metrics.values()), default=0)
    return HistoryRecord(metrics, planned.get("epochs") or run or None, planned.get("steps"))


def _numbers(values: Sequence[Any]) -> list[float] | None:
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError):
        return None


def _read_csv(path: Path) -> dict[str, list[Any]]:
    expected = (
        "`history` given as a path must be a file written by `keras.callbacks.CSVLogger`, whose first line starts with "
        f"`epoch`. Received: {str(path)!r}"
    )
    if path.is_dir():
        raise ValueError(f"{expected}, which is a folder")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"{expected}, and there is no such file") from None
    except UnicodeDecodeError:
        raise ValueError(f"{expected}, which is no text") from None
    header = text.partition("\n")[0]
    if not header.startswith("epoch") or len(header) < len("epoch,x"):
        raise ValueError(f"{expected}, which starts with {header[:40]!r}")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=header[len("epoch")]))
    try:
        rows = _in_sequence(rows)
    except (TypeError, ValueError):
        raise ValueError(f"{expected}, in which not every line has the number of its epoch") from None
    if not rows:
        raise ValueError(f"{expected}, which holds no epoch")
    names = [name for name in rows[0] if name not in (None, "epoch")]
    return {name: [_cell(row[name]) for row in rows] for name in names}


def _in_sequence(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    earlier: list[dict[str, str]] = []
    run: list[dict[str, str]] = []
    for row in rows:
        epoch = int(row["epoch"])
        if epoch == 0:
            earlier, run = earlier + run, []
        run = [before for before in run if int(before["epoch"]) < epoch]
        run.append(row)
    return earlier + run


def _cell(text: str | None) -> Any:
    # CSVLogger writes "NA" for a metric that an epoch has no value of.
    return float("nan") if text in (None, "", "NA") else text
