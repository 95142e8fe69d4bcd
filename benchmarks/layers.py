"""Forward and backward pass of our layers against Keras's own: `python -m benchmarks.layers`.

Both layers run interleaved in one process. "graph" is a `tf.function`, as `fit` runs with `jit_compile=False`;
"compiled" is one compiled by XLA, as `fit` runs by default; "eager" is op by op. The floor is the least memory traffic
there can be, with statistics for free: forward reads x and writes y, backward reads x and dy and writes dx, which is
two and a half elementwise copies. No layer can beat it, so Keras's time over the floor is the largest ratio there is.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import keras_normpack
from benchmarks.timing import RESULTS, geometric_mean, interleaved, machine, median, median_ratio, write_json

SHAPES = ((16, 56, 56, 64), (64, 28, 28, 128), (32, 14, 14, 256))
MODES: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "graph": tf.function,
    "compiled": lambda step: tf.function(step, jit_compile=True),
    "eager": lambda step: step,
}
GOAL = 4.0
_COPIES_AT_LEAST = 2.5


def main() -> None:
    options = _options()
    modes = ("graph",) if options.quick else tuple(MODES)
    rows = [_measure(shape, mode, options.repeats) for mode in modes for shape in SHAPES]
    means = {mode: geometric_mean([row["ratio"] for row in rows if row["mode"] == mode]) for mode in modes}
    _print(rows, means)
    payload = {
        "benchmark": "layers",
        "layer": "BatchNormalization",
        "dtype": "float32",
        "pass": "forward and backward",
        "goal": {"mode": "graph", "geometric_mean": GOAL, "reached": means["graph"] >= GOAL},
        "repeats": options.repeats,
        "machine": machine(),
        "geometric_mean": {mode: round(mean, 2) for mode, mean in means.items()},
        "rows": [
            {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()} for row in rows
        ],
    }
    write_json(options.output, payload)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=51, help="timed rounds per row (default: 51)")
    parser.add_argument("--quick", action="store_true", help="graph mode only")
    parser.add_argument("--output", type=Path, default=RESULTS / "layers.json", help="where the figures are written")
    return parser.parse_args()


def _measure(shape: tuple[int, ...], mode: str, repeats: int) -> dict[str, Any]:
    inputs, cotangent = tf.random.normal(shape), tf.random.normal(shape)
    copy = MODES["graph"](lambda values: values * 1.0001)
    steps = {
        "keras": _training_pass(keras.layers.BatchNormalization(), shape, mode),
        "ours": _training_pass(keras_normpack.BatchNormalization(), shape, mode),
    }
    seconds = interleaved(
        {
            "keras": lambda: steps["keras"](inputs, cotangent),
            "ours": lambda: steps["ours"](inputs, cotangent),
            "copy": lambda: copy(inputs),
        },
        repeats,
        warmup=5,
    )
    return {
        "mode": mode,
        "shape": list(shape),
        "keras_ms": 1e3 * median(seconds["keras"]),
        "ours_ms": 1e3 * median(seconds["ours"]),
        "floor_ms": 1e3 * _COPIES_AT_LEAST * median(seconds["copy"]),
        "ratio": median_ratio(seconds["keras"], seconds["ours"]),
        "ratio_at_floor": median_ratio(seconds["keras"], seconds["copy"]) / _COPIES_AT_LEAST,
    }


def _training_pass(layer: Any, shape: tuple[int, ...], mode: str) -> Callable[..., Any]:
    layer.build(shape)

    def step(inputs: tf.Tensor, cotangent: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        weights = [variable.value for variable in layer.trainable_variables]
        return outputs, tape.gradient(outputs, [inputs, *weights], output_gradients=cotangent)

    return MODES[mode](step)


def _print(rows: list[dict[str, Any]], means: dict[str, float]) -> None:
    table = Table(title="BatchNormalization, float32, forward and backward (median)")
    for column in ("mode", "shape", "Keras ms", "ours ms", "floor ms", "Keras / ours", "Keras / floor"):
        table.add_column(column, justify="left" if column in ("mode", "shape") else "right")
    for row in rows:
        figures = [f"{row[key]:.2f}" for key in ("keras_ms", "ours_ms", "floor_ms", "ratio", "ratio_at_floor")]
        table.add_row(row["mode"], "×".join(map(str, row["shape"])), *figures)
    console = Console()
    console.print(table)
    for mode, mean in means.items():
        console.print(f"geometric mean, {mode}: {mean:.2f}×")


if __name__ == "__main__":
    main()
