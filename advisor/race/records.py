"""Outcomes in files, named by all that they depend on, so that a race can go on where one ended."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from advisor import output_files as files
from advisor.race.engine import Course
from advisor.race.trial import Outcome, Trial


def keep(course: Course, trial: Trial, outcome: Outcome) -> None:
    """Write an outcome, whole or not at all. One that did not train is not kept: it is tried again."""
    if outcome.scores is None:
        return
    told = {name: value for name, value in asdict(outcome).items() if name != "scores"}
    with files.complete_file(_file(course, trial)) as temporary:
        np.savez(temporary, scores=outcome.scores, told=json.dumps(told))


def kept(course: Course, trial: Trial) -> Outcome | None:
    """The outcome of the same training in an earlier race; None where there was none."""
    file = _file(course, trial)
    if not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as content:
        told = json.loads(str(content["told"]))
        return Outcome(scores=content["scores"], **{**told, "notes": tuple(told["notes"])})


@contextmanager
def only_race_in(directory: Path) -> Iterator[None]:
    """Holds a folder for one race; the operating system lets go of it when the process dies.

    Raises:
        ValueError: If another race is going on in it.
    """
    with closing(sqlite3.connect(directory / "lock.db", timeout=0, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise ValueError(
                "another race is going on in that folder; wait for its end, or name another. "
                f"Received: directory={str(directory)!r}"
            ) from error
        yield


def identity(course: Course, trial: Trial) -> str:
    """A hash of all that an outcome depends on."""
    parts = [
        course.candidate(trial.candidate).fingerprint,
        course.data.fingerprint,
        course.scorer.name,
        str(trial.seed),
        str(trial.epochs),
        keras.backend.backend(),
        keras.__version__,
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def _file(course: Course, trial: Trial) -> Path:
    folder = course.directory / "outcomes"
    folder.mkdir(exist_ok=True)
    return folder / f"{identity(course, trial)}.npz"
