"""`keras-advisor export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from advisor import output_files as files
from advisor.cli import completion
from advisor.cli.arrays import arrays_given
from advisor.cli.example import Example
from advisor.cli.models import Loaded, as_a_whole, named_model
from advisor.cli.options import ExportFormat, ExportReportFormat, Model, Precision, Unsafe

if TYPE_CHECKING:
    from advisor.export import ExportReport

WIDTH_OF_FILES = 80

EXAMPLES = (
    Example("For phones", "keras-advisor export model.keras model.tflite"),
    Example("Weights in int8", "keras-advisor export model.keras small.tflite --quantize dynamic"),
    Example("For a server", "keras-advisor export model.keras served --to saved_model"),
)


def export(
    model: Model,
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="The file to write, or the folder.", show_default=False)
    ],
    to: Annotated[
        ExportFormat | None,
        typer.Option(
            "--to", help="What to write. By default onnx where OUT ends in .onnx, else tflite.", show_default=False
        ),
    ] = None,
    quantize: Annotated[
        Precision | None, typer.Option(help="Precision of a TFLite model; float32 by default.", show_default=False)
    ] = None,
    representative_data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Samples to read ranges off on, for int8; arrays named as for --data.",
            autocompletion=completion.arrays,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Samples to verify on: an array for each input by its name, or x; labels as y. Random by default.",
            autocompletion=completion.arrays,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Size of the batch axis of a TFLite model, 1 by default."),
    ] = None,
    allow_flex: Annotated[
        bool, typer.Option("--allow-flex", help="Leave operators that LiteRT lacks to TensorFlow's kernels.")
    ] = False,
    tolerance: Annotated[
        float | None, typer.Option(metavar="X", help="Largest difference from Keras allowed, relative.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="Seed of what is drawn at random.")] = None,
    unsafe: Unsafe = False,
    report_format: Annotated[
        ExportReportFormat, typer.Option("--format", help="How to write the report.")
    ] = ExportReportFormat.TEXT,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write the report to this file.")
    ] = None,
) -> None:
    """Write a model as TFLite, ONNX or SavedModel: folded, verified against Keras; TFLite timed, too.

    OUT appears, or is replaced, only when every check has passed.
    """
    to = to or (ExportFormat.ONNX if output.suffix == ".onnx" else ExportFormat.TFLITE)
    destination = _checked_export(output, to)
    report_destination = None if report_file is None else files.checked_target(report_file)
    if report_destination is not None and report_destination.absolute() == destination.absolute():
        raise ValueError(f"report and model must be different files. Received: --report {str(report_file)!r}")
    named = named_model(model)
    arrays = arrays_given({"data": data, "representative_data": representative_data})
    given = {
        "quantize": None if quantize is None else quantize.value,
        "batch_size": batch_size,
        "allow_flex": allow_flex or None,
        "tolerance": tolerance,
        "seed": seed,
    }
    loaded = as_a_whole(named, unsafe=unsafe)

    from advisor.export import export_model
    from advisor.export.named_arrays import data_from_arrays

    samples = _told_samples(loaded, quantize)
    for name, array in arrays.items():
        samples["verify_data" if name == "data" else name] = data_from_arrays(loaded.model, array)
    options = {name: value for name, value in given.items() if value is not None}
    report = export_model(loaded.model, destination, format=to.value, **options, **samples)
    if report_destination is None:
        print(_report(report, report_format, Console().width))
    else:
        files.write_text(report_destination, f"{_report(report, report_format, WIDTH_OF_FILES)}\n")


def _told_samples(loaded: Loaded, quantize: Precision | None) -> dict[str, Any]:
    """The data that a function gave with the model, for what `Advice.export` uses that of `advise` for."""
    from advisor.litert.quantization import CALIBRATED

    data, validation = (loaded.told.get(name) for name in ("data", "validation_data"))
    samples = {"verify_data": data if validation is None else validation}
    if quantize in CALIBRATED:
        samples["representative_data"] = validation if data is None else data
    return {name: value for name, value in samples.items() if value is not None}


def _checked_export(output: Path, to: ExportFormat) -> Path:
    if to is ExportFormat.SAVED_MODEL:
        return files.checked_folder(output, holding="saved_model.pb")
    return files.checked_target(output, suffix=f".{to.value}")


def _report(report: ExportReport, report_format: ExportReportFormat, width: int) -> str:
    from advisor.export.report_html import page_of
    from advisor.export.report_text import text_of

    match report_format:
        case ExportReportFormat.HTML:
            return page_of(report)
        case ExportReportFormat.JSON:
            return report.to_json()
    return f"{report.path}\n{text_of(report, width)}"
