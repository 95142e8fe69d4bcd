"""`export_model`: a Keras model to a file in any of the formats."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras

from advisor.export.errors import ExportError
from advisor.export.onnx import export_onnx
from advisor.export.report import ExportReport
from advisor.export.saved_model import export_saved_model
from advisor.export.tflite import export_tflite

FORMATS: Mapping[str, Callable[..., ExportReport]] = {
    "tflite": export_tflite,
    "onnx": export_onnx,
    "saved_model": export_saved_model,
}


def export_model(
    model: keras.Model, path: str | os.PathLike[str], *, format: str = "tflite", **arguments: Any
) -> ExportReport:
    """Exports a model, prepared and verified, in one of the formats.

    Args:
        model: A built `keras.Model`. It is not changed.
        path: The file to write, `.tflite` or `.onnx`, or the folder of a SavedModel.
        format: `"tflite"` for phones, with a fixed batch size, timed; `"onnx"` or `"saved_model"`, with an open batch.
        **arguments: Further arguments of `export_tflite`, `export_onnx` or `export_saved_model`.

    Returns:
        What was done and found.

    Raises:
        OSError: If nothing can be written where `path` says.
        ExportError: If the format is unknown or does not take an argument, and as the functions named above.

    Example:
    >>> import pathlib, tempfile
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), keras.layers.Dropout(0.5)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = export_model(model, pathlib.Path(folder) / "model", format="saved_model")
    >>> report.batch_size, report.inputs, report.max_relative_difference < 1e-5
    (None, {'input': (None, 4)}, True)
    """
    if format not in FORMATS:
        raise ExportError(f"`format` must be one of {', '.join(map(repr, FORMATS))}. Received: format={format!r}")
    export = FORMATS[format]
    taken = [name for name in inspect.signature(export).parameters if name not in ("model", "path")]
    unknown = [name for name in arguments if name not in taken]
    if unknown:
        raise ExportError(
            f"Format {format!r} takes the arguments {', '.join(taken)}. "
            f"Received: {', '.join(f'{name}={arguments[name]!r}' for name in unknown)}"
        )
    return export(model, path, **arguments)
