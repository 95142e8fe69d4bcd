"""The figures of each claim, in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.claims.cells import Cells
from benchmarks.claims.claim import Claim, Run
from benchmarks.timing import RESULTS, machine, write_json

FOLDER = RESULTS / "claims"
Record = dict[str, Any]


def record_of(claim: Claim, folder: Path = FOLDER) -> Record | None:
    """What is on disk of a claim: `machine`, `seeds`, `quick` and `figures`; None before it is measured."""
    path = folder / f"{claim.code}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def measure(
    claim: Claim,
    seeds: tuple[int, ...],
    quick: bool,
    folder: Path = FOLDER,
    again: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Record:
    """Measure a claim, unless that was done with the same settings.

    Args:
        claim: The claim.
        seeds: Seeds to train with, where it trains.
        quick: Whether a few seconds must do.
        folder: Where the records are; what is trained for one is kept in `cells/` beside it.
        again: Whether to forget what was measured.
        tell: What to do with lines on the progress.

    Returns:
        The record; it is on disk.
    """
    seeds = seeds if claim.trains else ()
    cells = folder / "cells" / f"{claim.code}.jsonl"
    if again:
        cells.unlink(missing_ok=True)
    known = None if again else record_of(claim, folder)
    if known is not None and (known["seeds"], known["quick"]) == (list(seeds), quick):
        tell("measured before")
        return known
    figures = claim.measure(Run(seeds, quick, Cells(cells, tell)))
    record = {"machine": machine(), "seeds": list(seeds), "quick": quick, "figures": figures}
    write_json(folder / f"{claim.code}.json", record)
    return json.loads(json.dumps(record))
