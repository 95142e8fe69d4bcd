"""What is measured where: one cell per task and batch size, kept in a file of its own from training to training."""

from __future__ import annotations

import json
import logging
import statistics
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from benchmarks.advice import arms as arm
from benchmarks.advice.arms import Decision
from benchmarks.advice.search import search
from benchmarks.advice.tasks import BATCH_SIZES, TASKS, task_named
from benchmarks.advice.training import Outcome, train_and_test
from benchmarks.timing import RESULTS, machine, write_json

FOLDER = RESULTS / "advice"
SEARCH_FACTOR = 10
"""How many times the compute of the measured advice, its training included, the search gets."""
Record = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A task at a batch size.

    Attributes:
        task: Name of the task.
        batch_size: Samples per step.
    """

    task: str
    batch_size: int

    def path(self, folder: Path = FOLDER) -> Path:
        """The file of its record."""
        return folder / f"{self.task.lower().replace(' ', '-')}-{self.batch_size}.json"

    def record(self, folder: Path = FOLDER) -> Record:
        """What is known so far of the task as it is now."""
        task = task_named(self.task)
        nothing: Record = {
            "task": self.task,
            "batch size": self.batch_size,
            "settings": {"data": task.data, "sizes": list(task.sizes), "epochs": task.epochs_at(self.batch_size)},
            "machine": machine(),
            "arms": {},
        }
        path = self.path(folder)
        known = json.loads(path.read_text("utf-8")) if path.exists() else nothing
        return known if known["settings"] == nothing["settings"] else nothing


# The quickest first.
CELLS = tuple(Cell(task.name, batch_size) for batch_size in reversed(BATCH_SIZES) for task in TASKS)


def measure(cell: Cell, arms: Sequence[str], seeds: Sequence[int], folder: Path = FOLDER) -> Iterator[str]:
    """Measure what is missing in a cell.

    Args:
        cell: The cell.
        arms: Names of the arms to measure, in order; the search and random fixes follow the measured advice.
        seeds: Seeds to train with.
        folder: Where the records are.

    Yields:
        A line for each training that was done; the record is on disk then.
    """
    task = task_named(cell.task)
    record = cell.record(folder)
    for name in arms:
        known = record["arms"].get(name, {})
        if set(map(str, seeds)) <= known.get("outcomes", {}).keys() and not known.get("outdated"):
            continue
        decision = _decided(cell, name, record)
        said = json.loads(json.dumps(decision.said))
        if known.get("said") != said:
            known = {"outcomes": {}}
        record["arms"][name] = known = {"said": said, "seconds": decision.seconds, "outcomes": known["outcomes"]}
        for seed in seeds:
            if str(seed) not in known["outcomes"]:
                keras.backend.clear_session()
                outcome = train_and_test(decision.draft(seed), task, cell.batch_size, seed)
                known["outcomes"][str(seed)] = _as_data(outcome)
                write_json(cell.path(folder), record)
                yield f"{cell.task}, batch {cell.batch_size}, {name}, seed {seed}: {outcome.points:.1f}"
        write_json(cell.path(folder), record)


def measured(work: tuple[Cell, Sequence[str], Sequence[int], Path]) -> list[str]:
    """Measure a cell in a process of its own; what goes wrong is told, and the other cells go on."""
    lines = []
    try:
        for line in measure(*work):
            lines.append(line)
            print(line, flush=True)
    except Exception as error:
        lines.append(f"{work[0]}: FAILED: {type(error).__name__}: {error}")
        traceback.print_exc()
    return lines


def quieten() -> None:
    """Silence what Keras and TensorFlow warn of, which these models do on purpose."""
    warnings.simplefilter("ignore")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def mark_outdated(cell: Cell, arms: Sequence[str], folder: Path = FOLDER) -> None:
    """Have arms decide anew; they are trained anew where they decide something else."""
    record = cell.record(folder)
    for name in arms:
        if name in record["arms"]:
            record["arms"][name]["outdated"] = True
    if record["arms"]:
        write_json(cell.path(folder), record)


def _decided(cell: Cell, name: str, record: Record) -> Decision:
    task = task_named(cell.task)
    deciders: dict[str, Callable[[], Decision]] = {
        arm.AS_WRITTEN: lambda: arm.as_written(task),
        arm.STATIC: lambda: arm.static_advice(task, cell.batch_size),
        arm.MEASURED: lambda: arm.measured_advice(task, cell.batch_size),
        arm.RACE: lambda: arm.raced(task, cell.batch_size),
        arm.BATCH_NORM: lambda: arm.batch_norm_everywhere(task),
        arm.RANDOM: lambda: arm.random_fixes(task, changes_of(record)),
        arm.SEARCH: lambda: search(task, cell.batch_size, SEARCH_FACTOR * seconds_of(record)),
    }
    keras.backend.clear_session()
    return deciders[name]()


def _as_data(outcome: Outcome) -> Record:
    # In one line, where fifty would make the files unreadable.
    return {**asdict(outcome), "groups": " ".join(f"{group:g}" for group in outcome.groups)}


def changes_of(record: Record) -> int:
    """How many different changes the measured advice makes: kinds of fixes, and of changes of the run."""
    said = record["arms"][arm.MEASURED]["said"]
    return len({fix.split(":")[0] for fix in said["fixes"]}) + len(said["plan"])


def seconds_of(record: Record) -> float:
    """What the measured advice costs: looking at the model, and one training."""
    measured = record["arms"][arm.MEASURED]
    return measured["seconds"] + statistics.fmean(outcome["seconds"] for outcome in measured["outcomes"].values())
