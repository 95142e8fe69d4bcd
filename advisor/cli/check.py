"""`keras-advisor check`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from advisor import output_files as files
from advisor.cli.arrays import arrays_given
from advisor.cli.configuration import settings_of_run
from advisor.cli.examining import Run, examine_all
from advisor.cli.example import Example
from advisor.cli.options import (
    ABOUT_REPORT,
    SAFETIES,
    BatchSize,
    CheckFormat,
    Config,
    Data,
    Epochs,
    History,
    Ignore,
    Isolated,
    Models,
    PerLayerIgnores,
    Replicas,
    Select,
    Steps,
    TargetOption,
    TaskOption,
    Unsafe,
    ValidationData,
    advise_arguments,
    as_typed,
)
from advisor.cli.running import CLEAN, FAILURE, FINDINGS, say_command

if TYPE_CHECKING:
    from advisor.report.baseline import Baseline
    from advisor.report.checked import Checked, Unread

EXAMPLES = (
    Example("Before training", "keras-advisor check model.keras --batch-size 8 --epochs 20"),
    Example("Measured on your data", "keras-advisor check model.keras --data train.npz"),
    Example("A model that code makes, for code scanning", "keras-advisor check nets:small --format sarif"),
    Example("From now on, only what is new", "keras-advisor check model.keras --write-baseline known.json"),
)

WITH_REWRITE = (CheckFormat.TEXT, CheckFormat.JSON, CheckFormat.HTML)
"""Formats that can tell what `fix` would change."""


def check(
    models: Models,
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
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Report only what does not stand in this file; the rest is counted.",
            rich_help_panel=ABOUT_REPORT,
        ),
    ] = None,
    write_baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all that is found into this file.", rich_help_panel=ABOUT_REPORT),
    ] = None,
    diff: Annotated[
        bool,
        typer.Option("--diff", help="Show what `fix` would change; nothing is changed.", rich_help_panel=ABOUT_REPORT),
    ] = False,
    report_format: Annotated[
        CheckFormat, typer.Option("--format", help="How to write the report.", rich_help_panel=ABOUT_REPORT)
    ] = CheckFormat.TEXT,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the report to this file.", rich_help_panel=ABOUT_REPORT
        ),
    ] = None,
) -> None:
    """Examine models and report what was found.

    The more is told about the training run, the more rules can speak: give at least --batch-size.

    Exit codes: 0 nothing found, or nothing that is not in the baseline; 1 findings of any severity, which --select and
    --ignore narrow; 2 failure, also when nothing was found but a rule failed.
    """
    if diff and report_format not in WITH_REWRITE:
        raise ValueError(
            f"--diff goes with the formats {', '.join(WITH_REWRITE)}. Received: --format {report_format.value}"
        )
    if report_format is CheckFormat.HTML and len(models) > 1:
        raise ValueError(f"a page is about one model; check each by itself. Received: {', '.join(models)}")
    if baseline is not None and write_baseline is not None:
        raise ValueError(
            "give either --baseline or --write-baseline. "
            f"Received: --baseline {str(baseline)!r} --write-baseline {str(write_baseline)!r}"
        )
    destination = _checked_target("--output", output, models)
    new_baseline = _checked_target("--write-baseline", write_baseline, models)
    given = advise_arguments(
        batch_size, epochs, steps_per_epoch, replicas, target, task, select, ignore, per_layer_ignores, history
    )
    settings = settings_of_run(given, config, isolated=isolated)
    known = None if new_baseline is not None else _known(baseline or settings.get("baseline"))
    arrays = arrays_given({"data": data, "validation_data": validation_data})
    examined, unread = examine_all(models, Run(settings, given, arrays, unsafe))
    from advisor.cli import baselines

    if new_baseline is not None:
        if unread:
            raise ValueError("no baseline is written, for a model could not be examined")
        known = baselines.write(new_baseline, examined)
    checked = baselines.all_that_was_found(examined) if known is None else baselines.new_beside(known, examined)
    if diff or report_format is CheckFormat.HTML:
        safety = SAFETIES[settings.get("safety")]
        pairs = zip(checked, examined, strict=True)
        checked = [replace(report, rewrite=one.advice.rewrite(safety)) for report, one in pairs]
    if report_format is CheckFormat.TEXT and destination is None:
        options = {
            **given,
            "data": data,
            "validation_data": validation_data,
            "config": config,
            "isolated": isolated,
            "unsafe": unsafe,
        }
        _show(checked, options)
    else:
        _write(_written(checked, unread, report_format), destination)
    raise typer.Exit(_exit_code(checked, unread))


def _known(file: Path | None) -> Baseline | None:
    from advisor.report.baseline import read_baseline

    return None if file is None else read_baseline(file)


def _written(checked: Sequence[Checked], unread: Sequence[Unread], report_format: CheckFormat) -> str:
    from advisor.report import as_text, check_to_json, print_check, to_html
    from advisor.report.github import to_github
    from advisor.report.sarif import to_sarif

    match report_format:
        case CheckFormat.SARIF:
            return to_sarif(checked, unread)
        case CheckFormat.GITHUB:
            return to_github(checked, unread)
        case CheckFormat.HTML:
            return "".join(to_html(one.examination, one.plan, one.rewrite) for one in checked)
        case CheckFormat.JSON:
            several = len(checked) + len(unread) > 1
            return check_to_json(checked, of_several=several) if checked or several else ""
    return as_text(lambda console: print_check(checked, console))


def _write(text: str, destination: Path | None) -> None:
    if destination is not None:
        files.write_text(destination, f"{text}\n" if text else "")
    elif text:
        print(text)


def _show(checked: Sequence[Checked], options: Mapping[str, Any]) -> None:
    from advisor.report import print_check

    console = Console()
    print_check(checked, console)
    for one in checked:
        if any(finding.fix for finding in one.examination.findings):
            name = shlex.quote(one.source.name)
            mended = shlex.quote(str(Path(one.source.name).with_name(f"{one.source.stem}-fixed.keras")))
            print("Fix them:")
            say_command([f"keras-advisor fix {name}", *as_typed(options), f"-o {mended}"])


def _checked_target(option: str, file: Path | None, models: Sequence[str]) -> Path | None:
    if file is None:
        return None
    target = files.checked_target(file)
    if target.exists() and any(Path(model).exists() and target.samefile(model) for model in models):
        raise ValueError(f"the report must not take the place of the model. Received: {option} {str(file)!r}")
    return target


def _exit_code(checked: Sequence[Checked], unread: Sequence[Unread]) -> int:
    if unread:
        return FAILURE
    if any(one.examination.findings for one in checked):
        return FINDINGS
    return FAILURE if any(one.examination.failures for one in checked) else CLEAN
