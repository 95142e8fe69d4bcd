"""Keras's own export, for comparison: what a user gets from `model.export(path, format="litert")`."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras

from advisor.export.signature import Signature, symbolic_inputs
from advisor.litert.arena import arena_bytes
from advisor.litert.garbage import quick_garbage_collection
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.operators import flex_operators, operator_table
from advisor.native_log import native_log_held_back


@dataclass(frozen=True)
class KerasExport:
    """A model as Keras itself exports it.

    Attributes:
        flatbuffer: The file's content; None where Keras cannot export the model.
        operators: Operator names to counts.
        note: What is to be known about it: a fixed batch, that it cannot be run, or why there is none.
    """

    flatbuffer: bytes | None
    operators: Mapping[str, int]
    note: str | None = None

    @property
    def size_bytes(self) -> int | None:
        """Size of the file."""
        return None if self.flatbuffer is None else len(self.flatbuffer)

    def arena_bytes(self, signature: Signature) -> int | None:
        """Peak memory of its tensors with the shapes of a signature; None where it cannot be run."""
        if self.flatbuffer is None or flex_operators(dict(self.operators)):
            return None
        try:
            return arena_bytes(self.flatbuffer, {tensor.name: tensor.shape for tensor in signature.inputs})
        except (RuntimeError, ValueError):
            return None

    def load(self, signature: Signature, num_threads: int = 1) -> LiteRTModel | None:
        """The file in LiteRT with the shapes of a signature; None where it cannot be run."""
        if self.flatbuffer is None or flex_operators(dict(self.operators)):
            return None
        shapes = {tensor.name: tensor.shape for tensor in signature.inputs}
        try:
            return LiteRTModel(self.flatbuffer, num_threads, shapes=shapes)
        except (RuntimeError, ValueError):
            return None


def keras_export(model: keras.Model, signature: Signature) -> KerasExport:
    """Exports a model by Keras's own exporter.

    The batch stays open, as Keras leaves it. Where that needs the Flex delegate, as loops do, it is exported for the
    batch size of the signature, which is the best a user of Keras can do.

    Args:
        model: The model as it was given.
        signature: Its inputs; the names are given to the exported inputs.

    Returns:
        What Keras makes of it.
    """
    open_batch = _exported(model, signature, fixed=False)
    if open_batch.flatbuffer is not None and not flex_operators(dict(open_batch.operators)):
        return open_batch
    fixed = _exported(model, signature, fixed=True)
    if fixed.flatbuffer is None or flex_operators(dict(fixed.operators)):
        return fixed if open_batch.flatbuffer is None else open_batch
    return KerasExport(
        fixed.flatbuffer, fixed.operators, f"Keras's own export was made for a batch of {signature.batch_size}"
    )


def _exported(model: keras.Model, signature: Signature, *, fixed: bool) -> KerasExport:
    import tensorflow as tf

    symbolic = symbolic_inputs(model)
    shapes = {tensor.name: tensor.shape for tensor in signature.inputs}
    if symbolic is not None and not fixed:
        declared = [tuple(tensor.shape) for tensor in keras.tree.flatten(symbolic)]
        shapes = dict(zip(signature.names, declared, strict=True))
    specs = {t.name: tf.TensorSpec(shapes[t.name], t.dtype, t.name) for t in signature.inputs}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.tflite"
        try:
            with quick_garbage_collection(), native_log_held_back(), contextlib.redirect_stdout(io.StringIO()):
                model.export(path, format="litert", verbose=False, input_signature=[signature.pack(specs)])
            flatbuffer = path.read_bytes()
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0][:200]
            return KerasExport(None, {}, f"Keras's own export fails: {type(error).__name__}: {reason}")
    operators = operator_table(flatbuffer)
    flex = flex_operators(operators)
    note = f"Keras's own export needs the Flex delegate, for {', '.join(flex)}, and is not timed" if flex else None
    return KerasExport(flatbuffer, operators, note)
