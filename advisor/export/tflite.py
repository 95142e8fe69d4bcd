"""`export_tflite`: a Keras model to a `.tflite` file that is checked against it and timed."""

from __future__ import annotations

import os
from typing import Any

import keras

from advisor.export.checks import check_exportable, check_options
from advisor.export.conversion import Conversion
from advisor.export.convert import LayerOperator
from advisor.export.errors import ExportError
from advisor.export.keras_export import KerasExport, keras_export
from advisor.export.layer_errors import LayerError
from advisor.export.precision import computing_in_float32, mixed_policies
from advisor.export.prepare import prepare
from advisor.export.provenance import check_equal, described, verification
from advisor.export.quantization_advice import quantization_advice
from advisor.export.report import ExportReport
from advisor.export.samples import (
    Labelled,
    Samples,
    calibration_samples,
    drawn_samples,
    samples_for,
    verification_samples,
)
from advisor.export.signature import Signature, read_signature
from advisor.export.task_metric import task_metrics
from advisor.export.timing import side_by_side
from advisor.export.trace import trace
from advisor.export.verify import FLOAT32_TOLERANCE, Difference, Limit, Outputs, keras_outputs, limit_for
from advisor.graph.sampling import sample_inputs
from advisor.litert.arena import arena_bytes
from advisor.litert.lowering import choose_forms
from advisor.litert.operators import operator_table
from advisor.litert.quantizable import forms_allowed
from advisor.litert.quantization import CALIBRATED, INT8_FLOAT_FALLBACK, PRECISIONS, Quantization
from advisor.output_files import checked_target, complete_file
from advisor.progress import working

RANDOM_SAMPLES = 4
FLOAT32 = "float32"


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    quantize: str | None = None,
    representative_data: Any = None,
    representative_samples: int = 128,
    verify_data: Any = None,
    batch_size: int = 1,
    allow_flex: bool = False,
    tolerance: float | None = None,
    seed: int = 0,
    verbose: int | str = "auto",
) -> ExportReport:
    """Exports a model to TFLite, without what only training needs, verified in LiteRT and timed.

    The model is prepared on a copy (training-only layers removed, batch normalization folded), converted with static
    shapes and a signature named `serve`, run in the LiteRT interpreter beside the Keras model as it was given, and
    timed beside Keras's own export, which is in float32. The file appears only when every check has passed; an existing
    file is kept until then.

    In float32 the difference of an output is `max|y - k| / max|k|` over all samples, `k` from Keras and `y` from
    LiteRT; more than 1e-4 is an error. Quantized, it is `‖y - k‖ / ‖k‖`; the limits are in `advisor.export.verify`. The
    error names the first layer that differs by more. What a quantized model loses in each layer is in the report.

    Args:
        model: A built `keras.Model`. It is not changed. Mixed precision models are exported, and compared, in float32.
        path: The file to write; must end in `.tflite`.
        quantize: None for float32; `"float16"` stores weights in half the bytes; `"dynamic"` stores weights in int8
            and computes activations in float; `"int8"` has integers only, inputs and outputs too, as microcontrollers
            and the Edge TPU need it; `"int8_float_fallback"` has float inputs and outputs, and computes in float what
            LiteRT has no int8 kernel for.
        representative_data: For the last two, data that the ranges of activations are read off on: what `verify_data`
            takes, and what `fit` was given is best. Must be None for the others.
        representative_samples: How many samples of it are used, drawn at random by `seed`; at least 1.
        verify_data: Inputs to verify on: arrays in the structure of the model's inputs, `(x, y)`, or a data set of such
            batches, of which the first 128 samples are used, and up to 1,000 where there are labels, which a metric of
            the task is computed on. They also give the shapes a model leaves open. None takes the representative
            samples, or where there are none draws 4 random ones.
        batch_size: Size of the batch axis of the exported model, at least 1.
        allow_flex: Whether operators that LiteRT lacks may be left to TensorFlow's kernels. The app then has to link
            the Flex delegate, and the file is neither verified nor timed here, which the report says.
        tolerance: The largest difference allowed, above 0; None takes the limit of the precision.
        seed: Seed of the draw of representative samples.
        verbose: 0 silent, 1 with a line that says what is going on, 2 with a line per step, `"auto"` for 1 on a
            terminal.

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
    _check_arguments(quantize, representative_data, representative_samples, batch_size)
    check_options(tolerance, verbose)
    check_exportable(model)
    mixed = mixed_policies(model)
    drawn = (
        None if representative_data is None else drawn_samples(model, representative_data, representative_samples, seed)
    )
    given = drawn if verify_data is None else verification_samples(model, verify_data)
    signature = read_signature(model, None if given is None else given.inputs, batch_size)
    quantization = _quantization(quantize, signature, drawn)
    with complete_file(target) as temporary, working("Preparing the model", verbose) as say:
        samples = samples_for(signature, _random_samples(model, batch_size) if given is None else given.inputs)
        with computing_in_float32(model):
            expected = keras_outputs(model, signature, samples)
            prepared = prepare(model)
            say("Choosing the forms of layers")
            lowering = choose_forms(
                prepared.model,
                lambda: trace(prepared.model, signature, expected.names),
                allowed=forms_allowed(quantize),
            )
            conversion = Conversion(model, prepared, lowering, signature, samples, expected, allow_flex)
            say("Converting")
            exported, limit = conversion.in_float(), _float32_limit(quantize, tolerance)
            flex = conversion.flex_layers(exported)
            say("Verifying")
            checked = None if flex else conversion.verify(exported, limit, None)
            in_float: tuple[LayerOperator, ...] = ()
            layers: tuple[LayerError, ...] = ()
            unknown: tuple[str, ...] = ()
            if quantization is not None:
                say("Quantizing")
                exported, limit = conversion.quantized(exported, quantization), limit_for(quantize, tolerance)
                in_float = conversion.float_operators(exported) if quantize == INT8_FLOAT_FALLBACK else ()
                if not flex:
                    say("Verifying layer by layer")
                    checked = conversion.verify(exported, limit, quantization)
                    layers, unknown = _layers(conversion, quantization)
            say("Exporting with Keras alone, to compare")
            by_keras = keras_export(model, signature)
        found = {} if checked is None else _differences(checked, samples, expected, given)
        written = described(
            exported,
            model,
            precision=quantize or FLOAT32,
            preparation=prepared.done,
            lowered=lowering.descriptions,
            verification=verification(found),
        )
        latencies: dict[str, Any] = {}
        if not flex:
            batch = next(samples.batches(signature.batch_size))
            check_equal(exported, written, batch)
            say("Measuring latency")
            latencies = side_by_side(written, by_keras, signature, batch)
        temporary.write_bytes(written)
    return ExportReport(
        path=target,
        batch_size=batch_size,
        inputs={tensor.name: tensor.shape for tensor in signature.inputs},
        outputs=expected.names,
        size_bytes=len(written),
        keras_size_bytes=by_keras.size_bytes,
        operators=operator_table(written),
        keras_operators=dict(by_keras.operators),
        preparation=prepared.done,
        lowered=lowering.descriptions,
        precision=quantize or FLOAT32,
        tolerance=limit.value,
        representative_samples=0 if drawn is None else drawn.count,
        representative_seed=None if drawn is None else seed,
        float_operators=tuple(map(str, in_float)),
        model_name=model.name,
        arena_bytes=arena_bytes(written),
        keras_arena_bytes=by_keras.arena_bytes(signature),
        flex=flex,
        notes=_notes(mixed, prepared.refused, tuple(flex), by_keras, (*_data_notes(drawn, given), *unknown)),
        layer_errors=layers,
        advice=(*conversion.input_advice(quantization), *quantization_advice(prepared.model, layers)),
        **found,
        **latencies,
    )


def _check_arguments(
    quantize: str | None,
    representative_data: Any,
    representative_samples: int,
    batch_size: int,
) -> None:
    if quantize is not None and quantize not in PRECISIONS:
        raise ExportError(
            f"`quantize` must be None for float32, or one of {', '.join(map(repr, PRECISIONS))}. "
            f"Received: quantize={quantize!r}"
        )
    if quantize in CALIBRATED and representative_data is None:
        raise ExportError(
            f"quantize={quantize!r} needs `representative_data`, which the ranges of activations are read off on: pass "
            "data as `fit` was given it, or take quantize='dynamic', which needs none. "
            "Received: representative_data=None"
        )
    if quantize not in CALIBRATED and representative_data is not None:
        raise ExportError(
            f"`representative_data` must be None, for only {' and '.join(map(repr, CALIBRATED))} use it; to verify on "
            f"data pass `verify_data`. Received: quantize={quantize!r}, representative_data of type "
            f"{type(representative_data).__name__}"
        )
    _check_count("representative_samples", representative_samples)
    _check_count("batch_size", batch_size)


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ExportError(f"`{name}` must be an integer of at least 1. Received: {name}={value!r}")


def _random_samples(model: keras.Model, batch_size: int) -> Any:
    return sample_inputs(model, batch_size=max(RANDOM_SAMPLES, batch_size))


def _quantization(precision: str | None, signature: Signature, drawn: Labelled | None) -> Quantization | None:
    if precision is None:
        return None
    batches = [] if drawn is None else list(calibration_samples(signature, drawn).batches(signature.batch_size))
    return Quantization(precision, batches)


def _float32_limit(quantize: str | None, tolerance: float | None) -> Limit:
    # What is to be quantized is held to the narrow limit of float32 first, so that nothing hides behind a wide one.
    if quantize is None or tolerance is None:
        return limit_for(None, tolerance)
    return limit_for(None, max(tolerance, FLOAT32_TOLERANCE))


def _layers(conversion: Conversion, quantization: Quantization) -> tuple[tuple[LayerError, ...], tuple[str, ...]]:
    """What the layers lose, and a note where that cannot be found: the model itself is verified all the same."""
    try:
        return conversion.layer_errors(quantization), ()
    except ExportError as error:
        return (), (f"what each layer loses is not known: {error}",)


def _differences(
    checked: tuple[Outputs, Difference], samples: Samples, expected: Outputs, given: Labelled | None
) -> dict[str, Any]:
    """The figures of a comparison by the names the report has for them."""
    received, found = checked
    return {
        "max_abs_difference": found.max_absolute,
        "max_relative_difference": found.max_relative,
        "mean_abs_difference": found.mean_absolute,
        "relative_rms_difference": found.relative_rms,
        "top1_agreement": found.top1_agreement,
        "verified_samples": samples.count,
        "task_metrics": task_metrics(expected, received, None if given is None else given.labels),
    }


def _notes(
    mixed: tuple[str, ...],
    refused: tuple[str, ...],
    flex: tuple[str, ...],
    by_keras: KerasExport,
    data: tuple[str, ...],
) -> tuple[str, ...]:
    notes = []
    if mixed:
        notes.append(f"built with the policy {', '.join(mixed)}; exported and compared in float32")
    notes.extend(f"converted as it is: {reason}" for reason in refused)
    if flex:
        notes.append(f"neither verified nor timed: needs the Flex delegate, for {', '.join(flex)}")
    notes.extend(data)
    if by_keras.note is not None:
        notes.append(by_keras.note)
    return tuple(notes)


def _data_notes(drawn: Labelled | None, given: Labelled | None) -> tuple[str, ...]:
    if drawn is None or given is not drawn:
        return ()
    return ("verified on the representative samples, for no `verify_data` was given",)
