"""Forward and backward pass of our layers against Keras's own: `python -m benchmarks.layers`.

Both layers run interleaved in one process. "graph" is a `tf.function`, as `fit` runs where there is no GPU;
"compiled" is one compiled by XLA, as `fit` runs with `jit_compile=True`; "eager" is op by op. The floor is the least
memory traffic there can be, with statistics for free: forward reads x and writes y, backward reads x and dy and writes
dx, which is two and a half elementwise copies. No layer can beat it, so Keras's time over the floor is the largest
ratio there is.

torch's own layers are timed in a process of their own (beside TensorFlow its threads stall) and tied to ours by the
copy that each process times; they are left out where torch is not installed. Peak memory is that of a process of its
own that makes ten passes in graphs over the largest shape (Linux).
"""

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import keras_normpack
from benchmarks.memory import own_peak, peak_in_own_process
from benchmarks.timing import RESULTS, geometric_mean, interleaved, machine, median, median_ratio, write_json

IMAGES = ((16, 56, 56, 64), (64, 28, 28, 128), (32, 14, 14, 256))
SEQUENCES = ((64, 128, 256), (8, 512, 768))
MODES: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "graph": tf.function,
    "compiled": lambda step: tf.function(step, jit_compile=True),
    "eager": lambda step: step,
}
_COPIES_AT_LEAST = 2.5


@dataclass(frozen=True)
class Contest:
    """Our layer and Keras's, the shapes the goal is about, and the goal for the geometric mean in graphs."""

    keras: Callable[[], Any]
    ours: Callable[[], Any]
    shapes: tuple[tuple[int, ...], ...]
    goal: float


CONTESTS = {
    "BatchNormalization": Contest(
        keras.layers.BatchNormalization, keras_normpack.BatchNormalization, shapes=IMAGES, goal=4.0
    ),
    "GroupNormalization": Contest(
        keras.layers.GroupNormalization, keras_normpack.GroupNormalization, shapes=IMAGES + SEQUENCES, goal=3.0
    ),
    "InstanceNormalization": Contest(
        lambda: keras.layers.GroupNormalization(-1),
        keras_normpack.InstanceNormalization,
        shapes=IMAGES + SEQUENCES,
        goal=3.0,
    ),
    "LayerNormalization": Contest(
        keras.layers.LayerNormalization, keras_normpack.LayerNormalization, shapes=IMAGES + SEQUENCES, goal=4.0
    ),
    "RMSNormalization": Contest(
        keras.layers.RMSNormalization, keras_normpack.RMSNormalization, shapes=IMAGES + SEQUENCES, goal=2.0
    ),
}


def main() -> None:
    options = _options()
    if options.peak_of:
        print(_peak_memory(*options.peak_of))
        return
    modes = ("graph",) if options.quick else tuple(MODES)
    rows = [
        _measure(name, shape, mode, options.repeats)
        for mode in modes
        for name in options.layers
        for shape in CONTESTS[name].shapes
    ]
    _add_torch(rows)
    summary = {mode: {name: _summary(rows, name, mode) for name in options.layers} for mode in modes}
    payload = {
        "benchmark": "layers",
        "dtype": "float32",
        "pass": "forward and backward",
        "repeats": options.repeats,
        "machine": machine(),
        "goals": {
            name: {"geometric_mean_in_graphs": CONTESTS[name].goal, "reached": reached}
            for name in options.layers
            for reached in [summary["graph"][name]["geometric_mean"] >= CONTESTS[name].goal]
        },
        "summary": summary,
        "peak_memory_mib": {name: _peaks(name) for name in options.layers},
        "rows": [
            {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()} for row in rows
        ],
    }
    _print(rows, summary)
    write_json(options.output, payload)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=31, help="timed rounds per row (default: 31)")
    parser.add_argument("--quick", action="store_true", help="graph mode only")
    parser.add_argument("--layers", nargs="+", choices=list(CONTESTS), default=list(CONTESTS), help="which layers")
    parser.add_argument(
        "--peak-of",
        nargs=2,
        metavar=("LAYER", "SIDE"),
        help="only print the peak memory of a layer, keras or ours, MiB",
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "layers.json", help="where the figures are written")
    return parser.parse_args()


def _measure(name: str, shape: tuple[int, ...], mode: str, repeats: int) -> dict[str, Any]:
    keras.utils.clear_session()
    inputs, cotangent = tf.random.normal(shape), tf.random.normal(shape)
    copy = MODES["graph"](lambda values: values * 1.0001)
    contest = CONTESTS[name]
    theirs, ours = (_training_pass(make(), shape, mode) for make in (contest.keras, contest.ours))
    seconds = interleaved(
        {
            "keras": lambda: theirs(inputs, cotangent),
            "ours": lambda: ours(inputs, cotangent),
            "copy": lambda: copy(inputs),
        },
        repeats,
        warmup=3,
    )
    return {
        "layer": name,
        "mode": mode,
        "shape": list(shape),
        "keras_ms": 1e3 * median(seconds["keras"]),
        "ours_ms": 1e3 * median(seconds["ours"]),
        "copy_ms": 1e3 * median(seconds["copy"]),
        "ratio": median_ratio(seconds["keras"], seconds["ours"]),
        "ratio_at_floor": median_ratio(seconds["keras"], seconds["copy"]) / _COPIES_AT_LEAST,
    }


def _peaks(name: str) -> dict[str, float]:
    return {side: peak_in_own_process("benchmarks.layers", "--peak-of", name, side) for side in ("keras", "ours")}


def _peak_memory(name: str, side: str) -> float:
    """Peak memory of ten passes in graphs over the largest shape, in MiB."""
    shape = max(IMAGES, key=math.prod)
    step = _training_pass(getattr(CONTESTS[name], side)(), shape, "graph")
    inputs, cotangent = tf.random.normal(shape), tf.random.normal(shape)
    for _ in range(10):
        step(inputs, cotangent)
    return own_peak()


def _training_pass(layer: Any, shape: tuple[int, ...], mode: str) -> Callable[..., Any]:
    layer.build(shape)

    def step(inputs: tf.Tensor, cotangent: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        weights = [variable.value for variable in layer.trainable_variables]
        return outputs, tape.gradient(outputs, [inputs, *weights], output_gradients=cotangent)

    return MODES[mode](step)


def _add_torch(rows: list[dict[str, Any]]) -> None:
    """Adds torch's times to the rows in graphs, in elementwise copies beside ours: `ours_copies` and `torch_copies`."""
    if importlib.util.find_spec("torch") is None:
        return
    wanted = [[row["layer"], row["shape"]] for row in rows if row["mode"] == "graph"]
    command = [sys.executable, "-m", "benchmarks.torch_layers", json.dumps(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = {(name, tuple(shape)): copies for name, shape, copies in json.loads(done.stdout)}
    for row in rows:
        if row["mode"] == "graph":
            row["ours_copies"] = row["ours_ms"] / row["copy_ms"]
            row["torch_copies"] = measured[row["layer"], tuple(row["shape"])]


def _summary(rows: list[dict[str, Any]], name: str, mode: str) -> dict[str, float]:
    own = [row for row in rows if row["layer"] == name and row["mode"] == mode]
    return {
        "geometric_mean": round(geometric_mean([row["ratio"] for row in own]), 2),
        "least": round(min(row["ratio"] for row in own), 2),
        "geometric_mean_at_floor": round(geometric_mean([row["ratio_at_floor"] for row in own]), 2),
    }


def _print(rows: list[dict[str, Any]], summary: dict[str, dict[str, dict[str, float]]]) -> None:
    console = Console(width=120)
    table = Table(title="float32, forward and backward (median)")
    for column in ("layer", "mode", "shape"):
        table.add_column(column)
    for column in ("Keras ms", "ours ms", "Keras / ours", "Keras / floor", "ours copies", "torch copies"):
        table.add_column(column, justify="right")
    for row in rows:
        keys = ("keras_ms", "ours_ms", "ratio", "ratio_at_floor", "ours_copies", "torch_copies")
        figures = [f"{row[key]:.2f}" if key in row else "" for key in keys]
        table.add_row(row["layer"], row["mode"], "×".join(map(str, row["shape"])), *figures)
    console.print(table)
    for mode, layers in summary.items():
        for name, figures in layers.items():
            console.print(
                f"{mode}, {name}: geometric mean {figures['geometric_mean']:.2f}×, least {figures['least']:.2f}×, "
                f"at the floor {figures['geometric_mean_at_floor']:.2f}×"
            )


if __name__ == "__main__":
    main()
