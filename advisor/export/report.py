"""What an export did and what was measured."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from advisor.export.layer_errors import LayerError
from advisor.export.task_metric import TaskMetric

SCHEMA = "keras-advisor-export/1"
"""Name and version of the JSON report's schema, `docs/export_report.schema.json`. Keys may be added within a version;
one that goes or changes its meaning makes a new version."""

THREADS = (1, 2)
"""Numbers of threads for which latency is measured."""


@dataclass(frozen=True)
class ExportReport:
    """An exported model, checked against the Keras model as it was given.

    A TFLite model is also timed, and held beside what Keras's own `model.export(path, format="litert")` makes of it.

    Attributes:
        path: The file, or the folder of a SavedModel.
        batch_size: Size of its batch axis; None where it is open.
        inputs: The inputs of its signature `serve`, by name, with their shapes.
        outputs: The names of its outputs, in the flat order of the Keras model's outputs.
        size_bytes: Size of the file, or of all files in the folder.
        keras_size_bytes: Size of Keras's own export; None where it fails, or there is none to compare with.
        operators: Operator names to counts.
        keras_operators: The same for Keras's own export.
        preparation: What was done to the model before conversion.
        lowered: Which layers are computed in another form, and in which.
        notes: What the reader has to know, such as a check that could not be made.
        latency_ms: Median milliseconds of an invocation by the number of threads, with XNNPACK; empty when it could not
            be run.
        keras_latency_ms: The same for Keras's own export.
        latency_ratio: By the number of threads, median over interleaved runs of the time by that of Keras's export.
        max_abs_difference: Largest absolute difference from the Keras model as it was given; None when not run.
        max_relative_difference: Largest difference of an output by that output's largest magnitude.
        mean_abs_difference: Mean absolute difference.
        top1_agreement: Share of samples with the same arg-max, for outputs of the shape `(batch, classes)`.
        verified_samples: Number of samples compared.
        precision: `float32`, or what `quantize` was.
        tolerance: The largest difference that was allowed: relative in float32, else relative root mean square.
        relative_rms_difference: `‖y - k‖ / ‖k‖` over all samples, the largest over the outputs.
        representative_samples: Number of samples that ranges were read off on.
        representative_seed: Seed they were drawn by; None where there are none.
        float_operators: Operators of a model in int8 that compute in float, each with its layer.
        task_metrics: How good the model is on labelled data, in Keras and exported.
        layer_errors: What a quantized model loses in each layer, in the order they are computed.
        advice: What the layers that lose most call for.
        format: `"tflite"`, `"onnx"` or `"saved_model"`.
        model_name: Name of the Keras model.
        arena_bytes: Peak memory of the tensors kept between operators, as LiteRT's arena planner places them; see
            `advisor.litert.arena.arena_bytes` for what it does not count.
        keras_arena_bytes: The same for Keras's own export.
        flex: Operators that need the Flex delegate, with the layers that need them.
    """

    path: Path
    batch_size: int | None
    inputs: dict[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    size_bytes: int
    keras_size_bytes: int | None
    operators: dict[str, int]
    keras_operators: dict[str, int]
    preparation: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    latency_ms: Mapping[int, float] = field(default_factory=dict)
    keras_latency_ms: Mapping[int, float] = field(default_factory=dict)
    latency_ratio: Mapping[int, float] = field(default_factory=dict)
    max_abs_difference: float | None = None
    max_relative_difference: float | None = None
    mean_abs_difference: float | None = None
    top1_agreement: float | None = None
    verified_samples: int = 0
    precision: str = "float32"
    tolerance: float | None = None
    relative_rms_difference: float | None = None
    representative_samples: int = 0
    representative_seed: int | None = None
    float_operators: tuple[str, ...] = ()
    task_metrics: tuple[TaskMetric, ...] = ()
    layer_errors: tuple[LayerError, ...] = ()
    advice: tuple[str, ...] = ()
    format: str = "tflite"
    model_name: str = ""
    arena_bytes: int | None = None
    keras_arena_bytes: int | None = None
    flex: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The report in the types JSON has, in the schema of `docs/export_report.schema.json`."""
        fields = {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return {"schema": SCHEMA, "version": version("keras-normpack"), **fields}

    def to_json(self, indent: int | None = 2) -> str:
        """The report of `to_dict` as JSON text.

        Args:
            indent: Spaces per level; None puts everything on one line.
        """
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def __str__(self) -> str:
        """The path, then the figures, in lines of 80 columns at most."""
        return f"{self.path}\n{self.figures()}"

    def figures(self) -> str:
        """A table of the figures beside those of Keras's own export, then what was done and what is to be known."""
        from advisor.export.report_text import text_of

        return text_of(self)

    def to_html(self) -> str:
        """The report as one `<section>` that needs no other file, for light and dark pages."""
        from advisor.export.report_html import section_of

        return section_of(self)

    def _repr_html_(self) -> str:
        return self.to_html()

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Writes the report as a page of its own.

        Args:
            path: The file to write; must end in `.html`.

        Raises:
            OSError: If the file cannot be written where `path` says.
        """
        from advisor.export.report_html import page_of
        from advisor.output_files import checked_target, write_text

        write_text(checked_target(path, suffix=".html"), page_of(self))


def _plain(value: Any) -> Any:
    match value:
        case TaskMetric() | LayerError():
            return dataclasses.asdict(value)
        case Path():
            return str(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
    return value
