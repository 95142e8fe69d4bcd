"""How time and memory of `advise` and of a rewrite grow with layers and with parameters.

    python -m benchmarks.scale [--layers 10,100,1000,10000] [--parameters 1e6,1e7,1e8,1e9,7e9,1e10] [--fix]
        [--output benchmarks/results/scale.json]

Layers: residual networks and plain stacks of 10 to 10,000 layers, in memory; processor seconds, best of three. The
slope is that of a straight line through the logarithms from 100 layers on: 1 is linear, 2 quadratic; goal at most 1.15.

Parameters: Transformers of 1e6 to 1e10 parameters in `.keras` files whose arrays were never written, so that they take
no room on the disk; each is advised on in a process of its own. Goals for 7e9 parameters: 10 seconds, 1.5 GB.
`--fix` also rewrites them from file to file, up to 2e9 parameters: all of the output is written. Goal: 2 GB and the
largest variable.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import layers
from rich.console import Console
from rich.table import Table

from advisor import advise
from advisor.graph import keras_internals as internals
from advisor.graph.stored_model import CONFIG, METADATA, WEIGHTS
from benchmarks.memory import own_peak
from benchmarks.timing import machine, write_json

SLOPE_GOAL = 1.15
SECONDS_GOAL, ADVISE_MIB_GOAL, FIX_MIB_GOAL = 10, 1500 * 1e6 / 2**20, 2e9 / 2**20
SEVEN_BILLION = 7e9
FIXED_UP_TO = 2e9
WIDTH = 16


def plain(count: int) -> Any:
    """Dense layers, normalizations, activations and dropout in a row."""
    stack = [keras.Input((WIDTH,))]
    while len(stack) < count:
        stack += [layers.Dense(WIDTH), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.0)]
    return keras.Sequential(stack)


def residual(count: int) -> Any:
    """Blocks with a connection around them."""
    inputs = x = keras.Input((WIDTH,))
    for _ in range(max(1, count // 4)):
        y = layers.ReLU()(layers.BatchNormalization()(layers.Dense(WIDTH)(x)))
        x = layers.Add()([x, y])
    return keras.Model(inputs, layers.Dense(2)(x))


def transformer(parameters: float) -> Any:
    """A decoder of about that many parameters, without values."""
    # 12 · width² per block; blocks grow with the width as in published models.
    blocks = max(1, round((parameters / 1e6) ** 0.37))
    width = max(32, 32 * round(math.sqrt(parameters / (12 * blocks)) / 32))
    with internals.deferred_variables():
        inputs = keras.Input((16,), dtype="int32")
        x = layers.Embedding(1000, width)(inputs)
        for _ in range(blocks):
            y = layers.LayerNormalization(epsilon=1e-6)(x)
            x = layers.Add()([x, layers.MultiHeadAttention(width // 32, 32)(y, y)])
            y = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
            x = layers.Add()([x, layers.Dense(width)(layers.Dropout(0.0)(y))])
        return keras.Model(inputs, layers.Dense(1000, activation="softmax")(x))


def write_without_values(model: Any, path: str | Path) -> None:
    """Write a `.keras` file whose arrays have shapes but were never written: they take no room and read as zeros.

    Args:
        model: The model, deferred or not.
        path: The file to write.
    """
    config, metadata = internals.config_and_metadata(model)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w") as archive:
        with h5py.File(Path(folder, WEIGHTS), "w") as file:
            for place, holder in internals.state_holders(model).items():
                stored: dict[str, Any] = {}
                if isinstance(holder, keras.Layer):
                    holder.save_own_variables(stored)
                for name, variable in stored.items():
                    file.create_dataset(f"{place}/vars/{name}", tuple(variable.shape), variable.dtype)
        archive.writestr(METADATA, metadata)
        archive.writestr(CONFIG, config)
        archive.write(Path(folder, WEIGHTS), WEIGHTS)


def slope(sizes: list[float], seconds: list[float]) -> float:
    """Of a straight line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _best_of_three(work: Callable[[], object]) -> float:
    """Processor seconds: others on the machine do not count."""
    taken = []
    for _ in range(3):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return min(taken)


def by_layers(make: Callable[[int], Any], counts: list[int]) -> dict[str, Any]:
    rows = []
    for count in counts:
        keras.utils.clear_session()
        with internals.room_for_depth(4 * count):
            model = make(count)
            advice = advise(model, batch_size=8, verbose=0)
            advising = _best_of_three(lambda model=model: advise(model, batch_size=8, verbose=0))
            begin = time.process_time()
            rewrite = advice.rewrite(("exact", "retrain"), select="D203,N101", verify=False)
            rewriting = time.process_time() - begin
        rows.append(
            {
                "layers": len(model.layers),
                "findings": len(advice.findings),
                "fixes": len(rewrite.applied),
                "advise_s": advising,
                "apply_s": rewriting,
            }
        )
    judged = [row for row in rows if row["layers"] >= 90]
    sizes = [row["layers"] for row in judged]
    slopes = {
        f"{what}_slope": slope(sizes, [row[f"{what}_s"] for row in judged]) if len(judged) > 1 else None
        for what in ("advise", "apply")
    }
    return {"model": make.__name__, "rows": rows, **slopes}


def by_parameters(parameters: list[float], fix: bool) -> dict[str, Any]:
    rows = []
    for wanted in parameters:
        with tempfile.TemporaryDirectory() as folder:
            model = transformer(wanted)
            path = Path(folder, "model.keras")
            write_without_values(model, path)
            command = [sys.executable, "-m", "benchmarks.scale", "--one", str(path)]
            if fix and wanted <= FIXED_UP_TO:
                command.append("--fix")
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            largest = max(math.prod(variable.shape) * 4 for variable in model.variables) / 2**20
            rows.append(
                {
                    "parameters": model.count_params(),
                    "largest_variable_mib": largest,
                    **json.loads(done.stdout.splitlines()[-1]),
                }
            )
    return {"rows": rows}


def one(path: str, fix: bool) -> None:
    """Advise on one file, perhaps rewrite it, and print what that took."""
    begin = time.perf_counter(), time.process_time()
    advice = advise(path, verbose=0)
    figures = {
        "advise_s": time.perf_counter() - begin[0],
        "advise_processor_s": time.process_time() - begin[1],
        "advise_peak_mib": own_peak(),
    }
    if fix:
        begin = time.perf_counter(), time.process_time()
        rewrite = advice.rewrite(("exact", "retrain"), select="D203")
        rewrite.save(Path(path).with_name("out.keras"))
        figures |= {
            "fixes": len(rewrite.applied),
            "parity": rewrite.parity,
            "fix_s": time.perf_counter() - begin[0],
            "fix_processor_s": time.process_time() - begin[1],
            "fix_peak_mib": own_peak(),
        }
    print(json.dumps(figures))


def goals(grown: list[dict[str, Any]], stored: dict[str, Any]) -> dict[str, Any]:
    """What was asked for, and whether it is so."""
    slopes = [group[f"{what}_slope"] for group in grown for what in ("advise", "apply")]
    large = [row for row in stored["rows"] if row["parameters"] <= 1.1 * SEVEN_BILLION]
    fixed = [row for row in stored["rows"] if "fix_peak_mib" in row]
    return {
        "slope": SLOPE_GOAL,
        "slope_met": all(value is None or value <= SLOPE_GOAL for value in slopes),
        "advise_7e9": {"seconds": SECONDS_GOAL, "mib": ADVISE_MIB_GOAL},
        "advise_7e9_met": all(
            row["advise_s"] <= SECONDS_GOAL and row["advise_peak_mib"] <= ADVISE_MIB_GOAL for row in large
        ),
        "fix_mib_beside_largest_variable": FIX_MIB_GOAL,
        "fix_met": all(row["fix_peak_mib"] <= FIX_MIB_GOAL + row["largest_variable_mib"] for row in fixed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", default="10,100,1000,10000")
    parser.add_argument("--parameters", default="1e6,1e7,1e8,1e9,7e9,1e10")
    parser.add_argument("--fix", action="store_true")
    parser.add_argument("--one", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/scale.json"))
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one, arguments.fix)
        return
    counts = [int(float(count)) for count in arguments.layers.split(",")]
    grown = [by_layers(make, counts) for make in (plain, residual)]
    stored = by_parameters([float(count) for count in arguments.parameters.split(",")], arguments.fix)
    _show(grown, stored)
    payload = {"machine": machine(), "goals": goals(grown, stored), "layers": grown, "parameters": stored}
    write_json(arguments.output, payload)


def _show(grown: list[dict[str, Any]], stored: dict[str, Any]) -> None:
    console = Console()
    for group in grown:
        table = Table("layers", "advise", "apply", title=f"{group['model']}, processor seconds")
        for row in group["rows"]:
            table.add_row(f"{row['layers']:,}", f"{row['advise_s']:.3f}", f"{row['apply_s']:.3f}")
        table.add_row("slope ≤ 1.15", *(str(group[f"{what}_slope"])[:4] for what in ("advise", "apply")))
        console.print(table)
    table = Table("parameters", "advise", "peak", "fix", "peak", "largest variable")
    for row in stored["rows"]:
        fixed = (f"{row['fix_s']:.1f} s", f"{row['fix_peak_mib']:,.0f} MiB") if "fix_s" in row else ("", "")
        table.add_row(
            f"{row['parameters']:,}",
            f"{row['advise_s']:.1f} s",
            f"{row['advise_peak_mib']:,.0f} MiB",
            *fixed,
            f"{row['largest_variable_mib']:,.0f} MiB",
        )
    console.print(table)


if __name__ == "__main__":
    main()
