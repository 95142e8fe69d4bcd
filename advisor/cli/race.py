"""`keras-advisor race`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advisor import output_files as files
from advisor.cli import completion
from advisor.cli.arrays import arrays_given
from advisor.cli.configuration import settings_of_run
from advisor.cli.examining import Run, arguments_for
from advisor.cli.example import Example
from advisor.cli.models import ModelFile, as_a_whole, named_model
from advisor.cli.options import (
    ABOUT_REPORT,
    BatchSize,
    Config,
    Data,
    Engine,
    Epochs,
    Format,
    FormatOption,
    Ignore,
    Isolated,
    Model,
    PerLayerIgnores,
    Select,
    TargetOption,
    TaskOption,
    Unsafe,
    ValidationData,
    advise_arguments,
)
from advisor.cli.running import CLEAN, FINDINGS, say

if TYPE_CHECKING:
    from advisor.race import RaceResult

ABOUT_RACE = "The race"

EXAMPLES = (
    Example("Five minutes", "keras-advisor race model.keras --data train.npz --validation-data val.npz"),
    Example("By count, for a model and data that code makes", "keras-advisor race nets:trained --budget '4 trials'"),
)


def race(
    model: Model,
    data: Data = None,
    validation_data: ValidationData = None,
    unsafe: Unsafe = False,
    budget: Annotated[
        str,
        typer.Option(
            metavar="BUDGET",
            help="A time such as 90s, 5m or 1h, or a number such as '20 trials'.",
            autocompletion=completion.budgets,
            rich_help_panel=ABOUT_RACE,
        ),
    ] = "5m",
    seeds: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Seeds that finalists are trained with.", rich_help_panel=ABOUT_RACE),
    ] = 3,
    engine: Annotated[
        Engine, typer.Option(help="Where to train: on this machine, or on a Ray cluster.", rich_help_panel=ABOUT_RACE)
    ] = Engine.LOCAL,
    directory: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep study and models here, and go on with a race that is there.",
            rich_help_panel=ABOUT_RACE,
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Train all anew, whatever is in FOLDER.", rich_help_panel=ABOUT_RACE)
    ] = False,
    batch_size: BatchSize = None,
    epochs: Epochs = None,
    target: TargetOption = None,
    task: TaskOption = None,
    select: Select = None,
    ignore: Ignore = None,
    per_layer_ignores: PerLayerIgnores = None,
    config: Config = None,
    isolated: Isolated = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="BEST.keras", help="Where to write the winner.", rich_help_panel=ABOUT_REPORT
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace BEST.keras where it exists.", rich_help_panel=ABOUT_REPORT)
    ] = False,
    report_format: FormatOption = Format.TEXT,
) -> None:
    """Train a model as written, as advised, and its alternatives against each other, and say what is better.

    It needs data with labels: --data and --validation-data, or a function that gives both with the model.

    Exit codes: 0 the race was run; 1 it was interrupted, and what is known by then is shown; 2 failure.
    """
    destination = None if output is None else files.checked_target(output, suffix=".keras", overwrite=force)
    named = named_model(model)
    arrays = arrays_given({"data": data, "validation_data": validation_data})
    if isinstance(named, ModelFile):
        _check_has_data(arrays)
    given = advise_arguments(batch_size, epochs, None, None, target, task, select, ignore, per_layer_ignores, None)
    run = Run(settings_of_run(given, config, isolated=isolated), given, arrays, unsafe)
    loaded = as_a_whole(named, unsafe=unsafe)
    arguments = arguments_for(loaded, run)
    _check_has_data(arguments)

    from advisor import advise

    result = advise(loaded.model, **arguments).race(
        arguments["data"],
        arguments["validation_data"],
        budget=budget,
        seeds=seeds,
        engine=engine.value,
        directory=directory,
        resume=not fresh,
    )
    _show(result, report_format)
    if destination is not None and result.model is not None:
        with files.complete_file(destination) as temporary:
            result.model.save(temporary)
        if report_format is Format.TEXT:
            say(f"The winner, {result.winner}, is written to {destination}")
    raise typer.Exit(FINDINGS if result.interrupted else CLEAN)


def _check_has_data(known: Mapping[str, Any]) -> None:
    missing = [f"--{name.replace('_', '-')}" for name in ("data", "validation_data") if known.get(name) is None]
    if missing:
        raise ValueError(
            "a race needs --data FILE.npz and --validation-data FILE.npz with labels, or a function that returns both "
            f"with the model. Received: no {' and no '.join(missing)}"
        )


def _show(result: RaceResult, report_format: Format) -> None:
    from advisor.race.wording import print_race

    if report_format is Format.JSON:
        print(result.to_json())
    else:
        print_race(result)
