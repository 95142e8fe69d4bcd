"""Trainings that were done, kept one by one, so that a run that was killed goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Cells:
    """What functions gave for their settings, kept in a file of one line each.

    Args:
        path: The file; None keeps nothing.
        tell: What to do with a line on each cell that is measured.
    """

    def __init__(self, path: Path | None = None, tell: Callable[[str], None] = lambda line: None) -> None:
        self._path, self._tell = path, tell
        self._kept = _read(path) if path is not None and path.exists() else {}

    def measured(self, measure: Callable[..., Any], settings: Mapping[str, Any]) -> Any:
        """`measure(**settings)`, once for all."""
        key = json.dumps([measure.__module__.rpartition(".")[2], measure.__name__, settings], sort_keys=True)
        if key not in self._kept:
            begin = time.perf_counter()
            self._kept[key] = value = json.loads(json.dumps(measure(**settings)))
            if self._path is not None:
                _append(self._path, json.dumps([key, value]))
            said = ", ".join(f"{name} {value}" for name, value in settings.items())
            self._tell(f"{measure.__name__}({said}): {time.perf_counter() - begin:.1f} s")
        return self._kept[key]


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A line begins its own line, so that one cut short by a kill spoils no other.
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{line}")


def _read(path: Path) -> dict[str, Any]:
    kept = {}
    for line in path.read_text("utf-8").splitlines():
        try:
            key, value = json.loads(line)
        except ValueError:
            continue
        kept[key] = value
    return kept
