"""`export_onnx`: a Keras model to an `.onnx` file that is checked against it in onnxruntime."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from advisor.export.checks import check_exportable
from advisor.export.convert import LayerOperator
from advisor.export.errors import ExportError
from advisor.export.layer_scopes import LayerScopes, scopes_noted
from advisor.export.open_batch import Format, OpenModel, Run, export_open_batch
from advisor.export.provenance import provenance
from advisor.export.report import ExportReport
from advisor.export.signature import Signature
from advisor.litert.metadata import ENTRY
from advisor.native_log import native_log_held_back
from advisor.output_files import checked_target, complete_file

NEEDED = ("tf2onnx", "onnx", "onnxruntime")


def export_onnx(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    verify_data: Any = None,
    tolerance: float | None = None,
    seed: int = 0,
    verbose: int | str = "auto",
) -> ExportReport:
    """Exports a model to ONNX, without what only training needs, verified in onnxruntime.

    The model is prepared as by `export_tflite`, and written by Keras's own exporter, which uses tf2onnx, in float32 and
    with an open batch. Inputs and outputs have the names that `export_tflite` gives them. The file appears only when
    it agreed with the Keras model as it was given, alone and in batches; an existing file is kept until then.

    Args:
        model: A built `keras.Model`. It is not changed.
        path: The file to write; must end in `.onnx`.
        verify_data: Inputs to verify on, as in `export_tflite`. None draws 4 random samples.
        tolerance: Largest relative difference of an output from Keras, above 0; None takes 1e-4.
        seed: Seed of the random samples.
        verbose: 0 silent, 1 with a line that says what is going on, 2 with a line per step, `"auto"` for 1 on a
            terminal.

    Returns:
        Size, differences, operators and what was done.

    Raises:
        OSError: If the file cannot be written where `path` says.
        ExportError: If the extra `[onnx]` is not installed, an argument or the model does not fit, tf2onnx cannot
            convert the model, or the result differs from Keras. Nothing is written then.
    """
    _check_installed()
    target = checked_target(path, suffix=".onnx")
    check_exportable(model)
    with complete_file(target) as temporary:
        report = export_open_batch(
            model, temporary, ONNX, verify_data=verify_data, tolerance=tolerance, seed=seed, verbose=verbose
        )
    return dataclasses.replace(report, path=target)


def _check_installed() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            "ONNX export needs tf2onnx, onnx and onnxruntime. Install them with `pip install 'keras-normpack[onnx]'`. "
            f"Received: no {', '.join(missing)}"
        )


class _Flat(keras.Model):
    """A model that takes a list and returns a dictionary; Keras's exporter knows no other inputs by name."""

    def __init__(self, model: keras.Model, signature: Signature, outputs: tuple[str, ...]) -> None:
        super().__init__(name="serve", dtype="float32")
        self.model = model
        self._signature, self._outputs = signature, outputs
        self.built = True

    def call(self, inputs: Any) -> dict[str, Any]:
        """The outputs by name."""
        values = dict(zip(self._signature.names, keras.tree.flatten(inputs), strict=True))
        outputs = self.model(self._signature.pack(values), training=False)
        return dict(zip(self._outputs, keras.tree.flatten(outputs), strict=True))


def _write(opened: OpenModel, path: Path) -> None:
    import onnx

    flat = _Flat(opened.model, opened.signature, opened.outputs)
    specs = list(opened.specs().values())
    with scopes_noted(opened.model) as scopes:
        try:
            with _quiet():
                flat.export(path, format="onnx", verbose=False, input_signature=specs if len(specs) == 1 else [specs])
        except Exception as error:
            raise _refusal(opened.model, LayerScopes(scopes, {}), error) from error
    written = onnx.load(path)
    _check_operators(opened.model, LayerScopes(scopes, {}), written)
    # Keras's exporter returns a dictionary in the order of its keys, and names none of it.
    _name_outputs(written.graph, sorted(opened.outputs))
    _name_axes(written.graph)
    outputs = {
        output.name: [axis.dim_value or None for axis in output.type.tensor_type.shape.dim]
        for output in written.graph.output
    }
    entry = provenance(opened.model, opened.shapes, outputs, preparation=opened.preparation)
    onnx.helper.set_model_props(written, {ENTRY: json.dumps(entry, ensure_ascii=False)})
    onnx.save(written, path)


def _load(opened: OpenModel, path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    # An input that no output depends on is no input of the graph.
    taken = {tensor.name for tensor in session.get_inputs()}

    def run(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        fed = {name: array for name, array in batch.items() if name in taken}
        return dict(zip(sorted(opened.outputs), session.run(None, fed), strict=True))

    return run


def _operators(path: Path) -> dict[str, int]:
    import onnx

    counts = Counter(node.op_type for node in _nodes(onnx.load(path).graph))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


ONNX = Format("onnx", _write, _load, _operators, lambda path: path.stat().st_size)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what tf2onnx logs; what it says of operators is found in the file."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with native_log_held_back(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the graphs in their attributes, such as the bodies of loops."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _nodes(inner)


def _check_operators(model: keras.Model, layers: LayerScopes, written: Any) -> None:
    """tf2onnx writes operators that it cannot convert into the file, under TensorFlow's name."""
    import onnx

    unknown = [
        LayerOperator(node.op_type, layers.at(node.name) or node.name)
        for node in _nodes(written.graph)
        if node.domain in ("", "ai.onnx") and not onnx.defs.has(node.op_type)
    ]
    if unknown:
        raise ExportError(
            f"Model '{model.name}' needs operators that tf2onnx cannot write. Replace them by other `keras.ops`, or "
            f"export to another format. Received: {', '.join(map(str, dict.fromkeys(unknown)))}"
        )


def _refusal(model: keras.Model, layers: LayerScopes, error: Exception) -> ExportError:
    paths = re.findall(r"[\w.-]+(?:/[\w.-]+)+", str(error))
    named = next((layer for path in paths if (layer := layers.at(path)) is not None), None)
    where = f" It names layer '{named}'." if named is not None else ""
    said = " ".join(str(error).split())
    return ExportError(
        f"Keras's ONNX exporter refused model '{model.name}'.{where} Received: {type(error).__name__}: {said}"
    )


def _name_outputs(graph: Any, names: list[str]) -> None:
    """Gives the outputs their names, in all that reads them too."""
    taken = {tensor.name for tensor in graph.input} & set(names)
    if taken:
        raise ExportError(
            "Inputs and outputs of an ONNX model must have different names; rename the layer. "
            f"Received: {', '.join(sorted(taken))} for both"
        )
    renamed = {output.name: name for output, name in zip(graph.output, names, strict=True)}
    for output in graph.output:
        output.name = renamed[output.name]
    for node in _nodes(graph):
        for tensors in (node.input, node.output):
            for index, tensor in enumerate(tensors):
                tensors[index] = renamed.get(tensor, tensor)


def _name_axes(graph: Any) -> None:
    for tensor in graph.input:
        for number, axis in enumerate(tensor.type.tensor_type.shape.dim):
            if axis.dim_param:
                axis.dim_param = "batch" if number == 0 else f"{tensor.name}_axis_{number}"
