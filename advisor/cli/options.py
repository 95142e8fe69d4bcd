"""What the commands let a user choose, and how it reads in their help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    JSON = "json"


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


ModelFile = Annotated[Path, typer.Argument(metavar="MODEL.keras", help="The saved model.", show_default=False)]
BatchSize = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Samples per optimizer step, all replicas together.")
]
Epochs = Annotated[int | None, typer.Option(min=1, metavar="N", help="Planned epochs.")]
Steps = Annotated[int | None, typer.Option(min=1, metavar="N", help="Optimizer steps per epoch.")]
Replicas = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Data-parallel replicas among which a batch is split.")
]
TargetOption = Annotated[Target | None, typer.Option(help="Where the model is to run.")]
TaskOption = Annotated[
    Task | None, typer.Option(metavar="TASK", help=f"What the model is for: {', '.join(Task)}. Inferred by default.")
]
Select = Annotated[
    list[str] | None, typer.Option(metavar="CODES", help="Rules to run, by code or prefix: N101,D. All by default.")
]
Ignore = Annotated[list[str] | None, typer.Option(metavar="CODES", help="Rules to leave out, by code or prefix.")]
PerLayerIgnores = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN:CODES", help="Rules to leave out at the layers of that path: 'backbone/*:N102,D'."),
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Read settings from this file; else from the nearest pyproject.toml or setup.cfg upwards."
    ),
]
Isolated = Annotated[bool, typer.Option("--isolated", help="Read no settings from files.")]
Unsafe = Annotated[
    bool, typer.Option("--unsafe", help="Load files with Python code in them (Lambda layers), which runs it.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to write the report.")]


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
    }
    return {name: value for name, value in given.items() if value is not None}
