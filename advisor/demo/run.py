"""The demo itself."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from advisor.advice import Advice, advise
from advisor.demo.data import ImageData, load_images
from advisor.demo.model import handwritten_cnn
from advisor.export.report_text import text_of
from advisor.report import print_examination, print_rewrite

DIGITS_EPOCHS = 12
TFDS_EPOCHS = 8
TFDS_SAMPLES = 4000
BATCH_SIZE = 32


@dataclass(frozen=True)
class Comparison:
    """Test accuracies over seeds, 0 to 1, as written and as advised; the same seed at the same place."""

    as_written: tuple[float, ...]
    advised: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Mean accuracy of the advised model less that of the model as written."""
        return statistics.mean(self.advised) - statistics.mean(self.as_written)


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demo found.

    Attributes:
        data: The data it ran on.
        advice: The advice on the first seed's model.
        comparison: Test accuracies.
        export: Report of the TFLite export of the last advised model.
    """

    data: ImageData = field(repr=False)
    advice: Advice = field(repr=False)
    comparison: Comparison
    export: Any


def run_demo(
    data: str = "digits",
    *,
    data_dir: str | None = None,
    seeds: int = 3,
    epochs: int | None = None,
    samples: int | None = None,
    output: str | None = None,
    console: Console | None = None,
) -> DemoResult:
    """Train a network as written, advise, rewrite, train again by the plan, compare, and ship to TFLite.

    Both networks see the same training images for the same number of epochs at most, start from the same weights where
    these exist in both, and are judged once on the same test images.

    Args:
        data: `"digits"` or `"tfds:NAME"`.
        data_dir: Folder of TensorFlow Datasets.
        seeds: How many times to train both, at least 1.
        epochs: Epochs of training; 12 for the digits, 8 otherwise.
        samples: Most images to train on, at least 2; all digits, 4,000 of a TFDS set by default.
        output: Where to write the TFLite model; a temporary file when None.
        console: Where to print.

    Returns:
        Findings, accuracies and export report.

    Raises:
        DemoDataError: If the data cannot be had.
        ValueError: If `seeds` or `epochs` is below 1, or `samples` below 2.
    """
    is_digits = data == "digits"
    epochs = epochs if epochs is not None else (DIGITS_EPOCHS if is_digits else TFDS_EPOCHS)
    samples = samples if samples is not None or is_digits else TFDS_SAMPLES
    for name, value in (("seeds", seeds), ("epochs", epochs)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    console = console or Console()
    images = load_images(data, batch_size=BATCH_SIZE, data_dir=data_dir, samples=samples)
    console.print(_described(images, epochs, seeds))
    advice = _advice(images, epochs, seed=0)
    print_examination(advice.examination, console)
    console.print()
    print_rewrite(advice.rewrite(), console)
    console.print()
    with _progress(console) as progress:
        task = progress.add_task("training", total=2 * seeds * epochs)
        runs = [_compare(images, epochs, seed, _Advance(progress, task, epochs)) for seed in range(seeds)]
    comparison = Comparison(tuple(run[0] for run in runs), tuple(run[1] for run in runs))
    _print_comparison(comparison, console)
    report = _export(runs[-1][2], images, output)
    where = "not kept; --output OUT.tflite keeps it" if output is None else str(output)
    console.print(f"[bold]TFLite model, as advised[/bold] ({where})", highlight=False)
    console.print(text_of(report, console.width), highlight=False, soft_wrap=True)
    return DemoResult(images, advice, comparison, report)


def _advice(images: ImageData, epochs: int, seed: int) -> Advice:
    keras.utils.set_random_seed(seed)
    model = handwritten_cnn(images.image_shape, images.classes)
    return advise(
        model, batch_size=BATCH_SIZE, data=images.train, validation_data=images.validation, epochs=epochs, verbose=0
    )


def _compare(images: ImageData, epochs: int, seed: int, advance: _Advance) -> tuple[float, float, Any]:
    """Accuracy as written, accuracy as advised, and the advised model, for one seed."""
    advice = _advice(images, epochs, seed)
    advised = advice.apply()
    keras.utils.set_random_seed(seed)
    advance.start(f"seed {seed}, as written")
    written = advice.model
    # The model is the demo's own, so that training it in place harms nobody.
    written.fit(images.train, epochs=epochs, shuffle=False, verbose=0, callbacks=[advance.callback()])
    keras.utils.set_random_seed(seed)
    advance.start(f"seed {seed}, as advised")
    advice.plan.compile(advised)
    advice.plan.fit(
        advised,
        images.train,
        validation_data=images.validation,
        epochs=epochs,
        verbose=0,
        callbacks=[advance.callback()],
    )
    return _accuracy(written, images), _accuracy(advised, images), advised


def _accuracy(model: Any, images: ImageData) -> float:
    return float(model.evaluate(images.test, verbose=0, return_dict=True)["accuracy"])


def _export(model: Any, images: ImageData, output: str | None) -> Any:
    from advisor.export import export_tflite

    verify = next(iter(images.test.as_numpy_iterator()))[0]
    if output is not None:
        return export_tflite(model, output, verify_data=verify)
    with tempfile.TemporaryDirectory() as folder:
        return export_tflite(model, Path(folder) / "advised.tflite", verify_data=verify)


class _Advance:
    """Moves the progress bar by one epoch, and past the epochs that early stopping saves."""

    def __init__(self, progress: Progress, task: Any, epochs: int) -> None:
        self._progress, self._task, self._epochs = progress, task, epochs

    def start(self, description: str) -> None:
        self._progress.update(self._task, description=description)

    def callback(self) -> keras.callbacks.Callback:
        done = 0

        def one_epoch(epoch: int, logs: Any) -> None:
            nonlocal done
            done += 1
            self._progress.advance(self._task)

        def the_rest(logs: Any) -> None:
            self._progress.advance(self._task, self._epochs - done)

        return keras.callbacks.LambdaCallback(on_epoch_end=one_epoch, on_train_end=the_rest)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _described(images: ImageData, epochs: int, seeds: int) -> str:
    train, validation, test = images.sizes
    shape = "×".join(str(size) for size in images.image_shape)
    return (
        f"[bold]{images.name}[/bold]: {train} training, {validation} validation and {test} test images of {shape}, "
        f"{images.classes} classes; batch size {BATCH_SIZE}, {epochs} epochs, {seeds} seeds\n"
    )


def _print_comparison(comparison: Comparison, console: Console) -> None:
    table = Table(title="Test accuracy", title_justify="left")
    for column in ("model", "mean", "lowest to highest", "by seed"):
        table.add_column(column)
    for name, values in (("as written", comparison.as_written), ("as advised", comparison.advised)):
        table.add_row(name, f"{statistics.mean(values):.2%}", _spread(values), ", ".join(f"{v:.2%}" for v in values))
    console.print(table)
    console.print(f"Difference of the means: {comparison.gain * 100:+.2f} points\n", highlight=False)


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):.2%} to {max(values):.2%}"
