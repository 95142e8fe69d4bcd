"""The commands."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from advisor import output_files as files
from advisor.cli.arrays import checked_arrays_file, read_arrays
from advisor.cli.configuration import settings_of_run
from advisor.cli.options import (
    SAFETIES,
    BatchSize,
    Config,
    Engine,
    Epochs,
    ExportFormat,
    ExportReportFormat,
    Format,
    FormatOption,
    Ignore,
    Isolated,
    ModelFile,
    PerLayerIgnores,
    Precision,
    Replicas,
    Safety,
    Select,
    Steps,
    TargetOption,
    TaskOption,
    Unsafe,
    advise_arguments,
)
from advisor.cli.running import CLEAN, FAILURE, FINDINGS, busy, failures_explained, import_keras

if TYPE_CHECKING:
    from advisor import Advice
    from advisor.export import ExportReport
    from advisor.race import RaceResult
    from advisor.rewrite import Rewrite

app = typer.Typer(
    name="keras-advisor",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(version("keras-normpack"))
        raise typer.Exit


@app.callback()
def keras_advisor(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find what is wrong with a Keras model, mend it, and ship it.

    Exit codes: 0 nothing found or everything fixed, 1 findings, 2 failure.
    """


@app.command()
@failures_explained()
def check(
    model: ModelFile,
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
    unsafe: Unsafe = False,
    report_format: FormatOption = Format.TEXT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the report to this file.")
    ] = None,
) -> None:
    """Examine a model and report what was found.

    The more is told about the training run, the more rules can speak: give at least --batch-size.

    Exit codes: 0 nothing found, 1 findings of any severity (narrow them with --select and --ignore), 2 failure, also
    when nothing was found but a rule failed.
    """
    destination = None if output is None else files.checked_target(output)
    if destination is not None and destination.exists() and destination.samefile(model):
        raise ValueError(f"the report must not take the place of the model. Received: --output {str(output)!r}")
    given = advise_arguments(
        batch_size, epochs, steps_per_epoch, replicas, target, task, select, ignore, per_layer_ignores
    )
    settings = settings_of_run(given, config, isolated=isolated)
    settings.pop("safety", None)
    advice = _advise(model, settings, unsafe=unsafe)
    if destination is not None:
        text = advice.to_json() if report_format is Format.JSON else str(advice)
        files.write_text(destination, f"{text}\n")
    elif report_format is Format.JSON:
        print(advice.to_json())
    else:
        _show(advice, model, given, unsafe=unsafe)
    if advice.failures and not advice.findings:
        raise typer.Exit(FAILURE)
    raise typer.Exit(FINDINGS if advice.findings else CLEAN)


@app.command()
@failures_explained()
def fix(
    model: ModelFile,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT.keras", help="Where to write the mended model.")
    ] = None,
    safety: Annotated[
        Safety | None,
        typer.Option(
            help="exact: same outputs, verified. retrain: to be trained anew. By default all, but only exact ones on "
            "a model that looks trained."
        ),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change, and write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT.keras where it exists.")] = False,
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
    unsafe: Unsafe = False,
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
        batch_size, epochs, steps_per_epoch, replicas, target, task, select, ignore, per_layer_ignores
    )
    settings = settings_of_run(given, config, isolated=isolated)
    configured = settings.pop("safety", None)
    advice = _advise(model, settings, unsafe=unsafe)
    with busy("Rewriting") as say:
        rewrite = advice.rewrite(SAFETIES[safety or configured])
        if destination is not None:
            with files.complete_file(destination) as temporary:
                rewrite.save(temporary, progress=say)
    _show_rewrite(rewrite, report_format, diff=diff)
    if destination is not None and report_format is Format.TEXT:
        print(f"Written to {destination}")
    left = rewrite.applied if diff else rewrite.skipped
    raise typer.Exit(FINDINGS if left else CLEAN)


@app.command()
@failures_explained()
def race(
    model: ModelFile,
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE.npz",
            help="Training data: an array for each input by its name, or x; labels as y.",
            show_default=False,
        ),
    ],
    validation_data: Annotated[
        Path, typer.Option(metavar="FILE.npz", help="Validation data, likewise.", show_default=False)
    ],
    budget: Annotated[
        str, typer.Option(metavar="BUDGET", help="A time such as 90s, 5m or 1h, or a number such as '20 trials'.")
    ] = "5m",
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Seeds that finalists are trained with.")] = 3,
    engine: Annotated[
        Engine, typer.Option(help="Where to train: on this machine, or on a Ray cluster.")
    ] = Engine.LOCAL,
    directory: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep study and models here, and go on with a race that is there.",
            show_default=False,
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train all anew, whatever is in FOLDER.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="BEST.keras", help="Where to write the winner.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace BEST.keras where it exists.")] = False,
    batch_size: BatchSize = None,
    epochs: Epochs = None,
    target: TargetOption = None,
    task: TaskOption = None,
    select: Select = None,
    ignore: Ignore = None,
    per_layer_ignores: PerLayerIgnores = None,
    config: Config = None,
    isolated: Isolated = False,
    unsafe: Unsafe = False,
    report_format: FormatOption = Format.TEXT,
) -> None:
    """Train a model as written, as advised, and its alternatives against each other, and say what is better.

    Exit codes: 0 the race was run; 1 it was interrupted, and what is known by then is shown; 2 failure.
    """
    destination = None if output is None else files.checked_target(output, suffix=".keras", overwrite=force)
    _check_exists(model)
    arrays = [
        checked_arrays_file(file, option) for file, option in ((data, "--data"), (validation_data, "--validation-data"))
    ]
    given = advise_arguments(batch_size, epochs, None, None, target, task, select, ignore, per_layer_ignores)
    settings = settings_of_run(given, config, isolated=isolated)
    settings.pop("safety", None)
    with busy(f"Examining {model}"):
        import_keras()
        from advisor import advise
        from advisor.export.named_arrays import data_from_arrays
        from advisor.loading import load_model

        loaded = load_model(model, safe_mode=not unsafe)
        training, validation = (data_from_arrays(loaded, read_arrays(file)) for file in arrays)
        advice = advise(loaded, data=training, validation_data=validation, verbose=0, **settings)
    result = advice.race(
        training,
        validation,
        budget=budget,
        seeds=seeds,
        engine=engine.value,
        directory=directory,
        resume=not fresh,
    )
    _show_race(result, report_format)
    if destination is not None and result.model is not None:
        with files.complete_file(destination) as temporary:
            result.model.save(temporary)
        if report_format is Format.TEXT:
            print(f"The winner, {result.winner}, is written to {destination}")
    raise typer.Exit(FINDINGS if result.interrupted else CLEAN)


@app.command()
@failures_explained()
def export(
    model: ModelFile,
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
        typer.Option(metavar="FILE.npz", help="Samples to read ranges off on, for int8; arrays named as for --data."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Samples to verify on: an array for each input by its name, or x; labels as y. Random by default.",
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
    _check_exists(model)
    arrays = {
        name: checked_arrays_file(file, option)
        for name, file, option in (
            ("verify_data", data, "--data"),
            ("representative_data", representative_data, "--representative-data"),
        )
        if file is not None
    }
    given = {
        "quantize": None if quantize is None else quantize.value,
        "batch_size": batch_size,
        "allow_flex": allow_flex or None,
        "tolerance": tolerance,
        "seed": seed,
    }
    with busy(f"Reading {model}"):
        import_keras()
        from advisor.export import export_model
        from advisor.export.named_arrays import data_from_arrays
        from advisor.loading import load_model

        loaded = load_model(model, safe_mode=not unsafe)
        samples = {name: data_from_arrays(loaded, read_arrays(file)) for name, file in arrays.items()}
    options = {name: value for name, value in given.items() if value is not None}
    report = export_model(loaded, destination, format=to.value, **options, **samples)
    text = _export_report(report, report_format)
    if report_destination is None:
        print(text)
    else:
        files.write_text(report_destination, f"{text}\n")


@app.command()
@failures_explained()
def rules(
    code: Annotated[str | None, typer.Argument(metavar="[CODE]", help="A code, or a prefix such as N.")] = None,
    pages: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write the rules' pages as Markdown.")] = None,
) -> None:
    """List the rules, or show the page of one."""
    import_keras()
    from advisor.report.rule_pages import print_rules, write_pages
    from advisor.rules import broken_plugins, select_rules

    chosen = select_rules(code)
    for plugin in broken_plugins():
        typer.echo(f"the rules of the plugin {plugin.name} are missing: {plugin.error}", err=True)
    if pages is not None:
        print(f"{len(write_pages(chosen, pages))} pages written to {pages}")
    else:
        print_rules(chosen, Console())


@app.command()
@failures_explained()
def demo(
    data: Annotated[
        str, typer.Option(metavar="NAME", help="digits, or tfds:NAME for an image set of TensorFlow Datasets.")
    ] = "digits",
    data_dir: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Folder of TensorFlow Datasets.")] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="How many times to train both models.")] = 3,
    epochs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Epochs of training.")] = None,
    samples: Annotated[int | None, typer.Option(min=2, metavar="N", help="Most images to train on.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT.tflite", help="Where to write the TFLite model.")
    ] = None,
) -> None:
    """Train a network as written and as advised, compare the two, and export the advised one to TFLite."""
    if output is not None:
        files.checked_target(output, suffix=".tflite")
    import_keras()
    from advisor.demo import run_demo

    run_demo(
        data,
        data_dir=None if data_dir is None else str(data_dir),
        seeds=seeds,
        epochs=epochs,
        samples=samples,
        output=None if output is None else str(output),
        console=Console(),
    )


def _advise(model: Path, arguments: Mapping[str, Any], *, unsafe: bool) -> Advice:
    _check_exists(model)
    with busy(f"Examining {model}"):
        import_keras()
        from advisor import advise

        return advise(model, safe_mode=not unsafe, verbose=0, **arguments)


def _check_exists(model: Path) -> None:
    """Fails before the seconds that importing Keras takes."""
    if not model.is_file():
        raise FileNotFoundError(f"there is no file {str(model)!r}; give the path of a saved `.keras` model")


def _checked_export(output: Path, to: ExportFormat) -> Path:
    if to is ExportFormat.SAVED_MODEL:
        return files.checked_folder(output, holding="saved_model.pb")
    return files.checked_target(output, suffix=f".{to.value}")


def _export_report(report: ExportReport, report_format: ExportReportFormat) -> str:
    if report_format is ExportReportFormat.HTML:
        from advisor.export.report_html import page_of

        return page_of(report)
    return report.to_json() if report_format is ExportReportFormat.JSON else str(report)


def _show(advice: Advice, model: Path, given: Mapping[str, Any], *, unsafe: bool) -> None:
    from advisor.report import print_examination

    print_examination(advice.examination)
    if any(finding.fix for finding in advice.findings):
        options = [
            text
            for name, value in given.items()
            for item in (value if isinstance(value, list) else [value])
            for text in (f"--{name.replace('_', '-')}", str(item))
        ]
        options += ["--unsafe"] if unsafe else []
        mended = model.with_stem(f"{model.stem}-fixed")
        print("Fix them:", shlex.join(["keras-advisor", "fix", str(model), *options, "-o", str(mended)]))


def _show_race(result: RaceResult, report_format: Format) -> None:
    from advisor.race.wording import print_race

    if report_format is Format.JSON:
        print(result.to_json())
    else:
        print_race(result)


def _show_rewrite(rewrite: Rewrite, report_format: Format, *, diff: bool) -> None:
    from advisor.report import print_rewrite, rewrite_to_dict
    from advisor.report.json_report import dumps

    if report_format is Format.JSON:
        print(dumps(rewrite_to_dict(rewrite)))
        return
    if diff:
        print(rewrite.diff)
    print_rewrite(rewrite, Console(stderr=diff))


def main() -> None:
    """Run the command line."""
    warnings.formatwarning = lambda message, *_: f"keras-advisor: {message}\n"
    # Keras says so of every model that was compiled but not trained.
    warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
    app()
