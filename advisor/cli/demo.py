"""`keras-advisor demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from advisor import output_files as files
from advisor.cli.example import Example
from advisor.cli.running import import_keras

EXAMPLES = (
    Example("Handwritten digits, about two minutes", "keras-advisor demo"),
    Example("Quicker, and with the model to keep", "keras-advisor demo --seeds 1 --epochs 4 -o digits.tflite"),
)


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
