"""What an exported model costs on one thread, beside Keras's own export and beside folded batch normalization.

    python -m benchmarks.export [norms] [networks] [applications] [--output benchmarks/results/export.json]

- `norms`: four convolutional networks with every normalization. Goals: as many operators with batch normalization as
  with none; group, instance and layer normalization at most 1.25 times the latency of folded batch normalization; group
  and instance normalization at most 0.65 times that of Keras's own export.
- `networks`: ten networks that people ship. Goal: never slower (within 3 %, what runs of one file differ by) nor larger
  than Keras's own export.
- `applications`: every network of `keras.applications`, smallest inputs, random weights. Goal: a relative difference
  from Keras of at most 1e-4. Beside it, how far the network moves when its inputs change by one rounding unit; where
  that is more than the goal, the network is chaotic with such weights, and its kernels are taken 0.7 times.

Latencies are medians over interleaved invocations. Parts that are not asked for keep the figures they had.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import gc
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from advisor.export import export_tflite
from advisor.export.conversion import Conversion
from advisor.export.keras_export import keras_export
from advisor.export.prepare import prepare
from advisor.export.samples import samples_for
from advisor.export.signature import read_signature
from advisor.export.trace import trace
from advisor.export.verify import keras_outputs, limit_for
from advisor.graph.sampling import sample_inputs
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.latency import interleaved_seconds, median_milliseconds, median_ratio
from advisor.litert.lowering import choose_forms
from advisor.testing import randomize_weights
from benchmarks.exact_fixes import ONE_ROUNDING, SIDES, applications
from benchmarks.mobile_networks import NORMS, SHAPES, SHIPPED
from benchmarks.timing import machine, write_json

OUTPUT = Path("benchmarks/results/export.json")
SECONDS = 10.0
TO_FOLDED, TO_KERAS = 1.25, 0.65
NEVER_SLOWER = 1.03
FAITHFUL = 1e-4
CALM = 0.7
LEFT_OUT = ("written_for_litert", "prepared", "note", "error", "kernels_times")


def norms() -> list[dict[str, Any]]:
    """Latencies of four networks with every normalization."""
    rows = []
    for shape, build in SHAPES.items():
        files: dict[str, LiteRTModel] = {}
        reports = {}
        for norm, make in NORMS.items():
            model = randomize_weights(build(make))
            reports[norm], content = _exported(model)
            files[norm] = LiteRTModel(content)
            signature = read_signature(model, None, 1)
            peer = keras_export(model, signature).load(signature)
            assert peer is not None, f"Keras's export of {shape} with {norm} cannot be run"
            files[f"{norm} by Keras"] = peer
        seconds = interleaved_seconds(files, _one_image(64), budget_seconds=SECONDS * len(files))
        for norm in NORMS:
            by_keras = f"{norm} by Keras"
            rows.append(
                {
                    "network": shape,
                    "norm": norm,
                    "milliseconds": median_milliseconds(seconds[norm]),
                    "to_folded_batch_norm": median_ratio(seconds[norm], seconds["batch"]),
                    "keras_to_folded_batch_norm": median_ratio(seconds[by_keras], seconds["batch"]),
                    "to_keras_export": median_ratio(seconds[norm], seconds[by_keras]),
                    "operators": sum(reports[norm].operators.values()),
                    "keras_operators": sum(reports[norm].keras_operators.values()),
                    "written_for_litert": list(reports[norm].lowered),
                    "met": _norm_goals_met(norm, seconds, reports),
                }
            )
            print(rows[-1], flush=True)
    return rows


def _norm_goals_met(norm: str, seconds: dict[str, list[float]], reports: dict[str, Any]) -> bool | None:
    if norm == "none":
        return None
    if norm == "batch":
        return sum(reports["batch"].operators.values()) == sum(reports["none"].operators.values())
    near = median_ratio(seconds[norm], seconds["batch"]) <= TO_FOLDED
    if norm == "layer":
        return near
    return near and median_ratio(seconds[norm], seconds[f"{norm} by Keras"]) <= TO_KERAS


def networks() -> list[dict[str, Any]]:
    """Latency and size of ten networks beside Keras's own export."""
    rows = []
    for name, build in SHIPPED.items():
        model = randomize_weights(build())
        report, content = _exported(model)
        signature = read_signature(model, None, 1)
        by_keras = keras_export(model, signature)
        row: dict[str, Any] = {
            "network": name,
            "operators": sum(report.operators.values()),
            "keras_operators": sum(report.keras_operators.values()),
            "size_ratio": report.size_bytes / by_keras.size_bytes if by_keras.size_bytes else None,
            "note": by_keras.note,
        }
        for threads in (1, 2):
            peer = by_keras.load(signature, threads)
            assert peer is not None, f"Keras's export of {name} cannot be run"
            feeds = {tensor.name: array for tensor, array in zip(signature.inputs, _flat(model), strict=True)}
            pair = {"ours": LiteRTModel(content, threads), "keras": peer}
            seconds = interleaved_seconds(pair, feeds, budget_seconds=SECONDS, max_rounds=2001)
            row[f"milliseconds_{threads}"] = median_milliseconds(seconds["ours"])
            row[f"to_keras_export_{threads}"] = median_ratio(seconds["ours"], seconds["keras"])
        row["met"] = row["to_keras_export_1"] <= NEVER_SLOWER and row["size_ratio"] <= 1.0
        rows.append(row)
        print(row, flush=True)
        _forget()
    return rows


def every_application() -> list[dict[str, Any]]:
    """How far the exports of all networks of `keras.applications` are from Keras."""
    rows = []
    for name in applications():
        side = SIDES.get(name, 32)
        model = randomize_weights(
            getattr(keras.applications, name)(
                weights=None, input_shape=(side, side, 3), classes=10, classifier_activation=None
            )
        )
        inputs = sample_inputs(model, batch_size=2, seed=3)
        row = {"network": name, "relative_difference": None, "own_response_to_one_rounding": _response(model, inputs)}
        if row["own_response_to_one_rounding"] > FAITHFUL:
            _calm(model)
            row |= {"kernels_times": CALM, "own_response_to_one_rounding": _response(model, inputs)}
        try:
            row |= _faithful(model, inputs)
        except Exception as error:
            row["error"] = str(error)
        row["met"] = row["relative_difference"] is not None and row["relative_difference"] <= FAITHFUL
        rows.append(row)
        print(row, flush=True)
        del model
        _forget()
    return rows


def _faithful(model: keras.Model, inputs: Any) -> dict[str, Any]:
    """What `export_tflite` does up to verification: neither Keras's own export nor latencies are needed here."""
    signature = read_signature(model, inputs, 1)
    samples = samples_for(signature, inputs)
    expected = keras_outputs(model, signature, samples)
    prepared = prepare(model)
    forms = choose_forms(prepared.model, lambda: trace(prepared.model, signature, expected.names))
    conversion = Conversion(model, prepared, forms, signature, samples, expected, allow_flex=False)
    _, found = conversion.verify(conversion.in_float(), limit_for(None, None), None)
    return {"relative_difference": found.max_relative, "prepared": list(prepared.done)}


def _exported(model: keras.Model, **arguments: Any) -> tuple[Any, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        report = export_tflite(model, Path(folder) / "model.tflite", **arguments)
        return report, report.path.read_bytes()


def _one_image(side: int) -> dict[str, np.ndarray]:
    return {"input": np.random.default_rng(0).uniform(size=(1, side, side, 3)).astype("float32")}


def _flat(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(array) for array in keras.tree.flatten(sample_inputs(model, batch_size=1))]


def _response(model: keras.Model, inputs: Any) -> float:
    nudged = keras.tree.map_structure(lambda array: array * (1 + ONE_ROUNDING), inputs)
    own = [keras.ops.convert_to_numpy(model(x, training=False)) for x in (inputs, nudged)]
    return float(np.max(np.abs(own[1] - own[0])) / np.max(np.abs(own[0])))


def _calm(model: keras.Model) -> None:
    for weight in model.weights:
        if weight.name.endswith("kernel"):
            weight.assign(CALM * weight)


def _forget() -> None:
    keras.utils.clear_session()
    gc.collect()


PARTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "norms": norms,
    "networks": networks,
    "applications": every_application,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=list(PARTS))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    figures = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for part in arguments.parts:
        rows = PARTS[part]()
        figures[part] = {"machine": machine(), "met": all(row["met"] is not False for row in rows), "rows": rows}
        write_json(arguments.output, {name: figures[name] for name in PARTS if name in figures})
        _show(part, rows)


def _show(part: str, rows: list[dict[str, Any]]) -> None:
    columns = [
        key for key in rows[0] if key not in ("written_for_litert", "prepared", "note", "error", "kernels_times")
    ]
    table = Table(*columns, title=part)
    for row in rows:
        cells = (row.get(key) for key in columns)
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells))
    Console().print(table)


if __name__ == "__main__":
    main()
