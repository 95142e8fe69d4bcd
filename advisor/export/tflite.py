"""`export_tflite`: a Keras model to a `.tflite` file that is checked against it and timed."""

from __future__ import annotations

import os
from typing import Any

import keras

from advisor.export.checks import check_exportable
from advisor.export.convert import convert
from advisor.export.errors import ExportError
from advisor.export.keras_export import KerasExport, keras_export
from advisor.export.precision import computing_in_float32, mixed_policies
from advisor.export.prepare import prepare
from advisor.export.report import THREADS, ExportReport
from advisor.export.samples import Samples, first_samples, samples_for
from advisor.export.signature import Signature, read_signature
from advisor.export.trace import trace
from advisor.export.verify import Outputs, check, difference, keras_outputs, litert_outputs
from advisor.graph.sampling import sample_inputs
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.latency import interleaved_seconds, median_milliseconds, median_ratio
from advisor.litert.lowering import choose_forms, lowered
from advisor.litert.operators import flex_operators, operator_table
from advisor.output_files import checked_target, complete_file

RANDOM_SAMPLES = 4


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    quantize: str | None = None,
    representative_data: Any = None,
    verify_data: Any = None,
    batch_size: int = 1,
    allow_flex: bool = False,
) -> ExportReport:
    """Exports a model to TFLite, without what only training needs, verified in LiteRT and timed.

    The model is prepared on a copy (training-only layers removed, batch normalization folded), converted in float32
    with static shapes and a signature named `serve`, run in the LiteRT interpreter beside the Keras model as it was
    given, and timed beside Keras's own export. The file appears only when every check has
    passed; an existing file is kept until then. The relative difference of an output is `max|y - k| / max|k|` over all
    samples, `k` from Keras and `y` from LiteRT; more than 1e-4 is an error.

    Args:
        model: A built `keras.Model`. It is not changed. Mixed precision models are exported, and compared, in float32.
        path: The file to write; must end in `.tflite`.
        quantize: Must be None: the model is exported in float32.
        representative_data: Must be None: only quantization uses it.
        verify_data: Inputs to verify on: arrays in the structure of the model's inputs, `(x, y)`, or a data set of such
            batches (its first batch is used), at most 128 samples. They also give the shapes a model leaves open. None
            draws 4 random samples.
        batch_size: Size of the batch axis of the exported model, at least 1.
        allow_flex: Whether operators that LiteRT lacks may be left to TensorFlow's kernels. The app then has to link
            the Flex delegate, and the file is neither verified nor timed here, which the report says.

    Returns:
        Sizes, latencies, differences, operators and what was done.

    Raises:
        OSError: If the file cannot be written where `path` says.
        ExportError: If an argument or the model does not fit, the model cannot be converted, or the result differs from
            Keras. Nothing is written then.

    Example:
    >>> import pathlib, tempfile, keras, numpy as np
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), keras.layers.Dropout(0.5)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = export_tflite(model, pathlib.Path(folder) / "model.tflite", verify_data=np.ones((3, 4)))
    >>> report.operators, report.preparation, report.max_relative_difference < 1e-5
    ({'FULLY_CONNECTED': 1}, ('removed 1 Dropout',), True)
    """
    target = checked_target(path, suffix=".tflite")
    _check_arguments(quantize, representative_data, batch_size)
    check_exportable(model)
    mixed = mixed_policies(model)
    given = None if verify_data is None else first_samples(model, verify_data)
    signature = read_signature(model, given, batch_size)
    with complete_file(target) as temporary:
        samples = samples_for(signature, _random_samples(model, batch_size) if given is None else given)
        with computing_in_float32(model):
            expected = keras_outputs(model, signature, samples)
            prepared = prepare(model)
            lowering = choose_forms(prepared.model, lambda: trace(prepared.model, signature, expected.names))
            with lowered(prepared.model, lowering):
                exported = convert(prepared.model, signature, expected.names, allow_flex=allow_flex)
            by_keras = keras_export(model, signature)
        operators = operator_table(exported)
        flex = flex_operators(operators)
        figures = {} if flex else _measure(exported, by_keras, signature, samples, expected)
        temporary.write_bytes(exported)
    return ExportReport(
        path=target,
        batch_size=batch_size,
        inputs={tensor.name: tensor.shape for tensor in signature.inputs},
        outputs=expected.names,
        size_bytes=len(exported),
        keras_size_bytes=by_keras.size_bytes,
        operators=operators,
        keras_operators=dict(by_keras.operators),
        preparation=prepared.done,
        lowered=lowering.descriptions,
        notes=_notes(mixed, prepared.refused, flex, by_keras),
        **figures,
    )


def _check_arguments(quantize: str | None, representative_data: Any, batch_size: int) -> None:
    if quantize is not None:
        raise ExportError(
            "`quantize` must be None: models are exported in float32, no other precision is supported yet. "
            f"Received: quantize={quantize!r}"
        )
    if representative_data is not None:
        raise ExportError(
            "`representative_data` must be None, for only quantization uses it; to verify on data pass `verify_data`. "
            f"Received: representative_data of type {type(representative_data).__name__}"
        )
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ExportError(f"`batch_size` must be an integer of at least 1. Received: batch_size={batch_size!r}")


def _random_samples(model: keras.Model, batch_size: int) -> Any:
    return sample_inputs(model, batch_size=max(RANDOM_SAMPLES, batch_size))


def _measure(
    exported: bytes, by_keras: KerasExport, signature: Signature, samples: Samples, expected: Outputs
) -> dict[str, Any]:
    """Verifies and times the exported model; the figures by the names the report has for them."""
    found = difference(expected, litert_outputs(LiteRTModel(exported), signature, samples, expected.names))
    check(found)
    batch = next(samples.batches(signature.batch_size))
    figures: dict[str, dict[int, float]] = {"latency_ms": {}, "keras_latency_ms": {}, "latency_ratio": {}}
    for threads in THREADS:
        models = {"exported": LiteRTModel(exported, threads)}
        peer = by_keras.load(signature, threads)
        seconds = interleaved_seconds(models if peer is None else models | {"keras": peer}, batch)
        figures["latency_ms"][threads] = median_milliseconds(seconds["exported"])
        if peer is not None:
            figures["keras_latency_ms"][threads] = median_milliseconds(seconds["keras"])
            figures["latency_ratio"][threads] = median_ratio(seconds["exported"], seconds["keras"])
    return {
        "max_abs_difference": found.max_absolute,
        "max_relative_difference": found.max_relative,
        "mean_abs_difference": found.mean_absolute,
        "top1_agreement": found.top1_agreement,
        "verified_samples": samples.count,
        **figures,
    }


def _notes(
    mixed: tuple[str, ...], refused: tuple[str, ...], flex: tuple[str, ...], by_keras: KerasExport
) -> tuple[str, ...]:
    notes = []
    if mixed:
        notes.append(f"built with the policy {', '.join(mixed)}; exported and compared in float32")
    notes.extend(f"converted as it is: {reason}" for reason in refused)
    if flex:
        notes.append(f"neither verified nor timed: needs the Flex delegate, for {', '.join(flex)}")
    if by_keras.note is not None:
        notes.append(by_keras.note)
    return tuple(notes)
