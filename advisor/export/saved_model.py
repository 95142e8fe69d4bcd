"""`export_saved_model`: a Keras model to a TensorFlow SavedModel that is checked against it."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from advisor.export.checks import check_exportable
from advisor.export.errors import ExportError
from advisor.export.open_batch import Format, OpenModel, Run, export_open_batch
from advisor.export.report import ExportReport
from advisor.native_log import native_log_held_back
from advisor.output_files import checked_folder, complete_folder

FILE = "saved_model.pb"
_NO_OPERATORS = {"Const", "Placeholder", "NoOp", "Identity", "ReadVariableOp"}


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    verify_data: Any = None,
    tolerance: float | None = None,
    seed: int = 0,
    verbose: int | str = "auto",
) -> ExportReport:
    """Exports a model as a TensorFlow SavedModel, without what only training needs, verified by running it.

    The model is prepared as by `export_tflite`, and written by Keras's own exporter in float32, with an open batch and
    the signature `serve`. The folder appears only when it agreed with the Keras model as it was given, alone and in
    batches; an existing SavedModel is kept as a whole until then. The exporter of Keras 3.15 stores every weight twice,
    so that the folder is about twice as large as the weights are.

    Args:
        model: A built `keras.Model`. It is not changed.
        path: The folder to write: a new one, an empty one, or a SavedModel to be replaced.
        verify_data: Inputs to verify on, as in `export_tflite`. None draws 4 random samples.
        tolerance: Largest relative difference of an output from Keras, above 0; None takes 1e-4.
        seed: Seed of the random samples.
        verbose: 0 silent, 1 with a line that says what is going on, 2 with a line per step, `"auto"` for 1 on a
            terminal.

    Returns:
        Size, differences, operators and what was done.

    Raises:
        OSError: If the folder cannot be written where `path` says.
        ExportError: If an argument or the model does not fit, Keras cannot export the model, or the result differs from
            it. Nothing is written then.
    """
    target = checked_folder(path, holding=FILE)
    check_exportable(model)
    with complete_folder(target) as temporary:
        report = export_open_batch(
            model, temporary, SAVED_MODEL, verify_data=verify_data, tolerance=tolerance, seed=seed, verbose=verbose
        )
    return dataclasses.replace(report, path=target)


def _write(opened: OpenModel, path: Path) -> None:
    try:
        with native_log_held_back(), contextlib.redirect_stdout(io.StringIO()):
            opened.model.export(
                path,
                format="tf_saved_model",
                verbose=False,
                input_signature=[opened.signature.pack(opened.specs())],
            )
    except Exception as error:
        raise ExportError(
            f"Keras's SavedModel exporter refused model '{opened.model.name}'. "
            f"Received: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def _load(opened: OpenModel, path: Path) -> Run:
    import tensorflow as tf

    # On the CPU, as Keras's outputs.
    with tf.device("CPU:0"):
        loaded = tf.saved_model.load(str(path))

    def run(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with tf.device("CPU:0"):
            tensors = {name: tf.constant(array) for name, array in batch.items()}
            outputs = loaded.serve(opened.signature.pack(tensors))
        return dict(zip(opened.outputs, map(np.asarray, keras.tree.flatten(outputs)), strict=True))

    return run


def _operators(path: Path) -> dict[str, int]:
    """TensorFlow's operators in the function `serve` and those that it calls."""
    import tensorflow as tf

    graph = tf.saved_model.load(str(path)).signatures["serve"].graph.as_graph_def()
    functions = {function.signature.name: function for function in graph.library.function}
    counts: Counter[str] = Counter()

    def count(nodes: Any) -> None:
        for node in nodes:
            called = [value.func.name for value in node.attr.values() if value.HasField("func")]
            if not called and node.op not in _NO_OPERATORS:
                counts[node.op] += 1
            for name in called:
                count(functions[name].node_def)

    count(graph.node)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


SAVED_MODEL = Format("saved_model", _write, _load, _operators, _size)
