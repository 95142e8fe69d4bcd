"""`keras-advisor fix`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from advisor import output_files as files
from advisor.cli.arrays import arrays_given
from advisor.cli.configuration import settings_of_run
from advisor.cli.examining import Run, examine
from advisor.cli.example import Example
from advisor.cli.options import (
    ABOUT_REPORT,
    SAFETIES,
    BatchSize,
    Config,
    Data,
    Epochs,
    Format,
    FormatOption,
    History,
    Ignore,
    Isolated,
    Model,
    PerLayerIgnores,
    Replicas,
    Safety,
    Select,
    Steps,
    TargetOption,
    TaskOption,
    Unsafe,
    ValidationData,
    advise_arguments,
)
from advisor.cli.running import CLEAN, FINDINGS, say
from advisor.progress import working

if TYPE_CHECKING:
    from advisor.rewrite import Rewrite

EXAMPLES = (
    Example("What would change", "keras-advisor fix model.keras --diff --batch-size 8"),
    Example("A mended copy", "keras-advisor fix model.keras -o mended.keras --batch-size 8"),
    Example("Only what leaves the outputs as they are", "keras-advisor fix model.keras -o same.keras --safety exact"),
)


def fix(
    model: Model,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.keras",
            help="Where to write the mended model.",
            rich_help_panel=ABOUT_REPORT,
        ),
    ] = None,
    safety: Annotated[
        Safety | None,
        typer.Option(
            help="exact: same outputs, verified. retrain: to be trained anew. By default all, but only exact ones on "
            "a model that looks trained.",
            rich_help_panel=ABOUT_REPORT,
        ),
    ] = None,
    diff: Annotated[
        bool,
        typer.Option("--diff", help="Show what would change, and write nothing.", rich_help_panel=ABOUT_REPORT),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace OUT.keras where it exists.", rich_help_panel=ABOUT_REPORT)
    ] = False,
    data: Data = None,
    validation_data: ValidationData = None,
    history: History = None,
    unsafe: Unsafe = False,
    batch_size: BatchSize = None,
    epochs: Epochs = None,
    steps_per_epoch: Steps = None,
    replicas: Replicas = None,
    target: TargetOption = None,
    task: TaskOption = None,
    select: Select = None,
    ignore: Ignore = None,
    per_layer_ignores: PerLayerIgnores = None,
    config: Config = None,
    isolated: Isolated = False,
    report_format: FormatOption = Format.TEXT,
) -> None:
    """Write a copy of a model with the fixes applied, its weights kept.

    Exit codes: 0 every fix is in OUT.keras, or none was needed; 1 OUT.keras is written, but fixable findings are left
    in it (the report says why); 2 failure. With --diff: 0 nothing would change, 1 something would.
    """
    if output is None and not diff:
        raise typer.BadParameter("give the file to write, -o OUT.keras, or --diff to only look")
    destination = None if output is None or diff else files.checked_target(output, suffix=".keras", overwrite=force)
    given = advise_arguments(
        batch_size, epochs, steps_per_epoch, replicas, target, task, select, ignore, per_layer_ignores, history
    )
    settings = settings_of_run(given, config, isolated=isolated)
    arrays = arrays_given({"data": data, "validation_data": validation_data})
    advice = examine(model, Run(settings, given, arrays, unsafe)).advice
    rewrite = advice.rewrite(SAFETIES[safety or settings.get("safety")])
    if destination is not None:
        with working("Writing", "auto") as progress, files.complete_file(destination) as temporary:
            rewrite.save(temporary, progress)
    _show(rewrite, report_format, diff=diff)
    if destination is not None and report_format is Format.TEXT:
        say(f"Written to {destination}")
    left = rewrite.applied if diff else rewrite.skipped
    raise typer.Exit(FINDINGS if left else CLEAN)


def _show(rewrite: Rewrite, report_format: Format, *, diff: bool) -> None:
    from advisor.report import print_diff, print_rewrite, rewrite_to_dict
    from advisor.report.json_report import dumps

    if report_format is Format.JSON:
        print(dumps(rewrite_to_dict(rewrite)))
        return
    if diff:
        print_diff(rewrite, Console())
    print_rewrite(rewrite, Console(stderr=diff))
