"""The race: candidates trained against each other under a budget, and what that shows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from advisor.graph import read_graph
from advisor.graph.keras_internals import compile_arguments
from advisor.race.candidates import Advised, Field, candidates_of, named_candidates
from advisor.race.data import race_data
from advisor.race.engine import Course, Engine, Record
from advisor.race.live import watching
from advisor.race.local import LocalEngine
from advisor.race.result import LeftOut, RaceResult, Standing, standings_of, winner_of
from advisor.race.schedule import Budget, read_budget
from advisor.race.scoring import scorer_for
from advisor.race.trial import Trial
from advisor.race.wording import notes_on_figures
from advisor.rewrite import rebuild
from advisor.rewrite.cloning import custom_objects

ENGINES = ("local", "ray")
DEFAULT_EPOCHS = 10


def race(
    advice: Advised,
    data: Any,
    validation_data: Any,
    *,
    budget: str | float | Budget = "5m",
    seeds: int = 3,
    engine: str = "local",
    candidates: Mapping[str, Any] | None = None,
    directory: Any = None,
    resume: bool = True,
    verbose: int | str = "auto",
) -> RaceResult:
    """Train what was advised, its parts and alternatives against the model as written, and say what is better.

    See `Advice.race`.
    """
    started = time.monotonic()
    limit = read_budget(budget)
    _check(seeds, engine, candidates)
    runner = _engine(engine)
    facts = advice.examination.facts
    read = race_data(data, validation_data, facts.training.batch_size)
    scorer = scorer_for(advice.model, _losses(advice), read.choosing, read.batch_size)
    # Each training begins with a copy, and a race without the original would say nothing.
    rebuild(read_graph(advice.model))
    field = candidates_of(advice) if candidates is None else named_candidates(advice, candidates)
    with _place(directory) as folder:
        course = Course(
            candidates=field.candidates,
            data=read,
            scorer=scorer,
            epochs=facts.training.epochs or advice.plan.epochs or DEFAULT_EPOCHS,
            seeds=seeds,
            budget=limit,
            directory=folder,
            keeps_records=directory is not None,
            resume=resume,
        )
        with watching(course, verbose) as watch:
            record = runner.run(course, watch)
        return _result(course, field, record, time.monotonic() - started)


def _check(seeds: Any, engine: Any, candidates: Any) -> None:
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise ValueError(f"`seeds` must be a whole number of at least 1. Received: seeds={seeds!r}")
    if engine not in ENGINES:
        raise ValueError(f"`engine` must be one of {', '.join(ENGINES)}. Received: engine={engine!r}")
    if candidates is not None and not isinstance(candidates, Mapping):
        raise TypeError(
            "`candidates` must be None or models by name, such as {'wider': model}. "
            f"Received: {type(candidates).__name__}"
        )


def _engine(name: str) -> Engine:
    if name == "ray":
        from advisor.race.cluster import RayEngine

        return RayEngine()
    return LocalEngine()


def _losses(advice: Advised) -> Any:
    """The losses that the original is compiled with, or that fit it where it is not."""
    arguments = compile_arguments(advice.model)
    if not arguments and advice.plan.objective is not None:
        arguments = advice.plan.objective.compile_arguments()
    if not arguments:
        raise ValueError(
            f"`{advice.model.name}` is not compiled and its loss cannot be inferred: {advice.plan.unclear}. Compile it "
            "with a loss first. Received: a model without a loss"
        )
    return arguments.get("loss")


@contextmanager
def _place(directory: Any) -> Iterator[Path]:
    """The folder of a race, with one for its models in it; one for the time being where none is named."""
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="race-") as temporary:
            (Path(temporary) / "models").mkdir()
            yield Path(temporary)
        return
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"`directory` must be a folder. Received: directory={str(folder)!r}")
    (folder / "models").mkdir(parents=True, exist_ok=True)
    yield folder


def _result(course: Course, field: Field, record: Record, seconds: float) -> RaceResult:
    standings = standings_of(
        course.candidates,
        record.outcomes,
        epochs=course.epochs,
        seeds=course.seeds,
        counts_right_answers=course.scorer.counts_right_answers,
    )
    winner = winner_of(standings)
    taking_part = {standing.name for standing in standings}
    reason = "the race was interrupted before its turn" if record.interrupted else "the budget did not reach so far"
    waiting = [LeftOut(one.name, one.title, reason) for one in course.candidates if one.name not in taking_part]
    samples = len(keras.tree.flatten(course.data.judging)[0])
    notes = [*notes_on_figures(standings, samples), *course.data.notes, *record.notes]
    notes += [note for outcome in record.outcomes.values() for note in outcome.notes]
    return RaceResult(
        standings=standings,
        left_out=(*waiting, *field.left_out),
        metric=course.scorer.name,
        counts_right_answers=course.scorer.counts_right_answers,
        samples=samples,
        seeds=course.seeds,
        epochs=course.epochs,
        budget=str(course.budget),
        seconds=max(seconds, sum(standing.seconds for standing in standings)),
        notes=tuple(dict.fromkeys(notes)),
        interrupted=record.interrupted,
        winner=winner.name if winner else None,
        model=_model(course, winner, record) if winner else None,
        study=record.study,
    )


def _model(course: Course, winner: Standing, record: Record) -> Any:
    """The winner's model of its best seed; None where no file of it was written."""
    whole = [trial for trial in record.outcomes if trial.candidate == winner.name and trial.epochs == course.epochs]

    def score(trial: Trial) -> float:
        scores = record.outcomes[trial].scores
        return float("-inf") if scores is None else float(scores.mean())

    files = [course.model_file(trial) for trial in sorted(whole, key=score, reverse=True)]
    file = next((file for file in files if file.exists()), None)
    if file is None:
        return None
    model = course.candidate(winner.name).model
    graph = read_graph(model)
    with keras.saving.custom_object_scope(custom_objects([model, *(n.operation for n in graph.nodes.values())])):
        return keras.saving.load_model(file, safe_mode=False)
