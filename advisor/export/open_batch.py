"""Exports that leave the batch open, through Keras's own exporters: prepared, written, held against Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from advisor.export.checks import check_options
from advisor.export.diagnosis import preparation_blamed
from advisor.export.layer_errors import preparation_errors
from advisor.export.precision import computing_in_float32, mixed_policies
from advisor.export.prepare import Prepared, prepare
from advisor.export.report import ExportReport
from advisor.export.samples import Samples, samples_for, verification_samples
from advisor.export.signature import Signature, read_signature, symbolic_inputs
from advisor.export.verify import Limit, Outputs, check, difference, keras_outputs, limit_for, outputs_of
from advisor.graph.sampling import sample_inputs
from advisor.progress import working

BATCH_SIZES = (1, 4)
"""What a model with an open batch is run with to see that it is open."""

Shape = tuple[int | None, ...]
Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class OpenModel:
    """A model about to be written.

    Attributes:
        model: The prepared model.
        signature: Names and dtypes of its inputs, and their structure.
        shapes: Shapes of the inputs, by name; None where an axis is open.
        outputs: Names of the outputs, in Keras's flat order.
        preparation: What was done to the model.
    """

    model: keras.Model
    signature: Signature
    shapes: Mapping[str, Shape]
    outputs: tuple[str, ...]
    preparation: tuple[str, ...]

    def specs(self) -> dict[str, Any]:
        """TensorFlow's description of the inputs, by name."""
        import tensorflow as tf

        return {t.name: tf.TensorSpec(self.shapes[t.name], t.dtype, t.name) for t in self.signature.inputs}


@dataclass(frozen=True)
class Format:
    """How a model is written in a format and read again.

    Attributes:
        name: What `export_model` calls it.
        write: Writes a model to a path.
        load: Reads what was written, as a function from inputs by name to outputs by name.
        operators: Counts the operators in what was written.
        size: Counts its bytes.
    """

    name: str
    write: Callable[[OpenModel, Path], None]
    load: Callable[[OpenModel, Path], Run]
    operators: Callable[[Path], dict[str, int]]
    size: Callable[[Path], int]


def export_open_batch(
    model: keras.Model,
    path: Path,
    format: Format,
    *,
    verify_data: Any,
    tolerance: float | None,
    seed: int,
    verbose: int | str,
) -> ExportReport:
    """Prepares a model, writes it, runs what was written, and compares it with the model as it was given.

    Args:
        model: A model that can be exported.
        path: Where to write.
        format: How to write.
        verify_data: As in `export_tflite`.
        tolerance: Largest relative difference allowed; None takes that of float32.
        seed: Seed of random samples.
        verbose: As in `export_tflite`.

    Returns:
        The report, with the path written to.

    Raises:
        ExportError: If the data does not fit, the model cannot be written, or the result differs from Keras.
    """
    check_options(tolerance, verbose)
    mixed = mixed_policies(model)
    with working("Preparing the model", verbose) as say, computing_in_float32(model):
        samples = (
            verification_samples(model, verify_data).inputs
            if verify_data is not None
            else sample_inputs(model, batch_size=max(BATCH_SIZES), seed=seed)
            if symbolic_inputs(model) is not None
            else None
        )
        cases = _cases(model, samples)
        prepared = prepare(model)
        signature, _, expected = cases[-1]
        opened = OpenModel(prepared.model, signature, _shapes(model, signature), expected.names, prepared.done)
        say("Converting")
        format.write(opened, path)
        say("Verifying")
        run = format.load(opened, path)
        found = [
            difference(expected, outputs_of(run, signature, samples, expected.names))
            for signature, samples, expected in cases
        ]
        limit = limit_for(None, tolerance)
        check(
            max(found, key=lambda one: one.max_relative),
            limit,
            lambda: _explanation(model, prepared, *cases[-1], limit),
        )
    whole, count = found[-1], cases[-1][1].count
    return ExportReport(
        path=path,
        batch_size=opened.shapes[signature.names[0]][0],
        inputs=dict(opened.shapes),
        outputs=opened.outputs,
        size_bytes=format.size(path),
        keras_size_bytes=None,
        operators=format.operators(path),
        keras_operators={},
        preparation=prepared.done,
        notes=(
            *(f"built with the policy {name}; exported and compared in float32" for name in mixed),
            *(f"exported as it is: {reason}" for reason in prepared.refused),
        ),
        max_abs_difference=whole.max_absolute,
        max_relative_difference=whole.max_relative,
        mean_abs_difference=whole.mean_absolute,
        relative_rms_difference=whole.relative_rms,
        top1_agreement=whole.top1_agreement,
        verified_samples=count,
        tolerance=limit.value,
        format=format.name,
        model_name=model.name,
    )


def _explanation(
    model: keras.Model, prepared: Prepared, signature: Signature, samples: Samples, expected: Outputs, limit: Limit
) -> str:
    """Where too large a difference comes from."""
    if limit.holds_for(difference(expected, keras_outputs(prepared.model, signature, samples))):
        return "What Keras's exporter has written computes something else than the model."
    errors = preparation_errors(model, prepared.model, signature, samples, expected.names)
    return preparation_blamed(errors, limit, prepared.done)


def _cases(model: keras.Model, given: Any) -> list[tuple[Signature, Samples, Outputs]]:
    """What Keras returns: for a few samples one by one, and for all of them in batches."""
    declared = _declared_batch(model)
    sizes = BATCH_SIZES if declared is None else (declared,)
    cases = []
    for size in sizes:
        signature = read_signature(model, given, size)
        samples = samples_for(signature, given)
        if size < max(sizes):
            samples = samples.first(max(sizes))
        cases.append((signature, samples, keras_outputs(model, signature, samples)))
    return cases


def _declared_batch(model: keras.Model) -> int | None:
    symbolic = symbolic_inputs(model)
    return None if symbolic is None else keras.tree.flatten(symbolic)[0].shape[0]


def _shapes(model: keras.Model, signature: Signature) -> dict[str, Shape]:
    symbolic = symbolic_inputs(model)
    if symbolic is None:
        return {tensor.name: (None, *tensor.shape[1:]) for tensor in signature.inputs}
    declared = [tuple(tensor.shape) for tensor in keras.tree.flatten(symbolic)]
    return dict(zip(signature.names, declared, strict=True))
