"""What the commands let a user choose, and how it reads in their help."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from advisor.cli import completion


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    JSON = "json"


class CheckFormat(StrEnum):
    """How the report of a check is written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"
    HTML = "html"


class ExportReportFormat(StrEnum):
    """How the report of an export is written."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


class ExportFormat(StrEnum):
    """What a model is exported to."""

    TFLITE = "tflite"
    ONNX = "onnx"
    SAVED_MODEL = "saved_model"


class Precision(StrEnum):
    """How the numbers of an exported model are stored and computed."""

    DYNAMIC = "dynamic"
    FLOAT16 = "float16"
    INT8 = "int8"
    INT8_FLOAT_FALLBACK = "int8_float_fallback"


class Engine(StrEnum):
    """Where the candidates of a race are trained; the engines of `Advice.race`."""

    LOCAL = "local"
    RAY = "ray"


class Safety(StrEnum):
    """Which fixes are applied."""

    EXACT = "exact"
    RETRAIN = "retrain"
    ALL = "all"


class Target(StrEnum):
    """Where the model is to run."""

    MOBILE = "mobile"


class Task(StrEnum):
    """What the model is for; the tasks of `advise`."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    SEGMENTATION = "segmentation"
    DETECTION = "detection"
    IMAGE_TO_IMAGE = "image_to_image"
    GENERATION = "generation"
    SEQUENCE = "sequence"


ABOUT_MODEL, ABOUT_RUN, ABOUT_RULES, ABOUT_REPORT = "What is examined", "The planned run", "Rules", "What is written"
"""Headings of the options in the help of a command."""

_MODEL_HELP = "A saved model, or package.module:function, which makes one."

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help=_MODEL_HELP, autocompletion=completion.models, show_default=False)
]
Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL",
        help="Saved models, or package.module:function, which makes one.",
        autocompletion=completion.models,
        show_default=False,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Samples per optimizer step, all replicas together.", rich_help_panel=ABOUT_RUN
    ),
]
Epochs = Annotated[int | None, typer.Option(min=1, metavar="N", help="Planned epochs.", rich_help_panel=ABOUT_RUN)]
Steps = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Optimizer steps per epoch.", rich_help_panel=ABOUT_RUN)
]
Replicas = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Data-parallel replicas among which a batch is split.",
        rich_help_panel=ABOUT_RUN,
    ),
]
TargetOption = Annotated[Target | None, typer.Option(help="Where the model is to run.", rich_help_panel=ABOUT_RUN)]
TaskOption = Annotated[
    Task | None,
    typer.Option(
        metavar="TASK",
        help=f"What the model is for: {', '.join(Task)}. Inferred by default.",
        rich_help_panel=ABOUT_RUN,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.npz",
        help="Training data: an array for each input by its name, or x; labels as y.",
        autocompletion=completion.arrays,
        rich_help_panel=ABOUT_MODEL,
    ),
]
ValidationData = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.npz",
        help="Validation data, likewise.",
        autocompletion=completion.arrays,
        rich_help_panel=ABOUT_MODEL,
    ),
]
History = Annotated[
    Path | None,
    typer.Option(metavar="FILE.csv", help="What a CSVLogger wrote of an earlier run.", rich_help_panel=ABOUT_MODEL),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CODES",
        help="Rules to run, by code or prefix: N101,D. All by default.",
        autocompletion=completion.codes,
        rich_help_panel=ABOUT_RULES,
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CODES",
        help="Rules to leave out, by code or prefix.",
        autocompletion=completion.codes,
        rich_help_panel=ABOUT_RULES,
    ),
]
PerLayerIgnores = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN:CODES",
        help="Rules to leave out at the layers of that path: 'backbone/*:N102,D'.",
        rich_help_panel=ABOUT_RULES,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Read settings from this file; else from the nearest pyproject.toml or setup.cfg upwards.",
        rich_help_panel=ABOUT_RULES,
    ),
]
Isolated = Annotated[bool, typer.Option("--isolated", help="Read no settings from files.", rich_help_panel=ABOUT_RULES)]
Unsafe = Annotated[
    bool,
    typer.Option(
        "--unsafe",
        help="Load files with Python code in them (Lambda layers), which runs it.",
        rich_help_panel=ABOUT_MODEL,
    ),
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="How to write the report.", rich_help_panel=ABOUT_REPORT)
]


SAFETIES: dict[Safety | None, str | tuple[str, ...] | None] = {
    None: None,
    Safety.EXACT: "exact",
    Safety.RETRAIN: "retrain",
    Safety.ALL: ("exact", "retrain"),
}
"""The same for `Advice.rewrite`."""


def advise_arguments(
    batch_size: int | None,
    epochs: int | None,
    steps_per_epoch: int | None,
    replicas: int | None,
    target: Target | None,
    task: Task | None,
    select: list[str] | None,
    ignore: list[str] | None,
    per_layer_ignores: list[str] | None,
    history: Path | None,
) -> dict[str, Any]:
    """The arguments of `advise` that the user gave."""
    given = {
        "batch_size": batch_size,
        "epochs": epochs,
        "steps_per_epoch": steps_per_epoch,
        "replicas": replicas,
        "target": target,
        "task": task,
        "select": ",".join(select) if select else None,
        "ignore": ",".join(ignore) if ignore else None,
        "per_layer_ignores": per_layer_ignores or None,
        "history": history,
    }
    return {name: value for name, value in given.items() if value is not None}


def as_typed(options: Mapping[str, Any]) -> list[str]:
    """Options as a user would type them, each with its value, quoted for the shell.

    Args:
        options: Values by the names of the options; those that were not given are None or False.

    Returns:
        One text per option.

    Example:
    >>> as_typed({"batch_size": 8, "unsafe": True, "config": None, "per_layer_ignores": ["a:N", "b *:D"]})
    ['--batch-size 8', '--unsafe', '--per-layer-ignores a:N', "--per-layer-ignores 'b *:D'"]
    """
    typed = []
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            typed.append(option)
        elif value not in (None, False):
            typed += [shlex.join([option, str(item)]) for item in (value if isinstance(value, list) else [value])]
    return typed
