"""How far exact fixes, and folding, move the outputs of every network in `keras.applications`.

    python -m benchmarks.exact_fixes [--output benchmarks/results/exact_fixes.json]

Random weights moved away from their initial values, random inputs of the smallest size each network takes, logits, in
float32. Goal: exact fixes move them by `max |f(x) − g(x)| / max |f(x)|` ≤ 1e-5 on every network. `fold_batch_norm`,
which only the export uses, is reported beside them, and so is how far the network itself moves when its inputs change
by one rounding unit: with random weights a deep one can be chaotic, and then says nothing about folding.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import gc
import inspect
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from advisor import advise
from advisor.graph.sampling import sample_inputs
from advisor.rewrite import fold_batch_norm, relative_difference
from advisor.testing import randomize_weights
from benchmarks.timing import machine, write_json

GOAL = 1e-5
ONE_ROUNDING = 1.2e-7
SIDES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71, "NASNetMobile": 224, "NASNetLarge": 331}


def applications() -> list[str]:
    functions = inspect.getmembers(keras.applications, inspect.isfunction)
    return [name for name, builder in functions if "weights" in inspect.signature(builder).parameters]


def measure(name: str) -> dict[str, object]:
    side = SIDES.get(name, 32)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(side, side, 3), classes=10, classifier_activation=None
    )
    randomize_weights(model)
    rewrite = advise(model, trained=True, verbose=0).rewrite()
    inputs = sample_inputs(model, batch_size=2, seed=3)
    folded = fold_batch_norm(model)
    nudged = keras.tree.map_structure(lambda array: array * (1 + ONE_ROUNDING), inputs)
    own = [keras.ops.convert_to_numpy(model(x, training=False)) for x in (inputs, nudged)]
    return {
        "model": name,
        "exact_fixes": len(rewrite.applied),
        "relative_difference": relative_difference(model, rewrite.model, inputs),
        "layers_folded": len(model.layers) - len(folded.layers),
        "relative_difference_folded": relative_difference(model, folded, inputs),
        "own_response_to_one_rounding": float(np.max(np.abs(own[1] - own[0])) / np.max(np.abs(own[0]))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/exact_fixes.json"))
    arguments = parser.parse_args()
    rows = []
    for name in applications():
        rows.append(measure(name))
        print(rows[-1], flush=True)
        keras.utils.clear_session()
        gc.collect()
    table = Table("model", "exact fixes", "difference", "layers folded", "difference when folded", "own response")
    for row in rows:
        table.add_row(*(f"{cell:.1e}" if isinstance(cell, float) else str(cell) for cell in row.values()))
    Console().print(table)
    met = all(row["relative_difference"] <= GOAL for row in rows)
    write_json(arguments.output, {"machine": machine(), "goal": GOAL, "met": met, "rows": rows})


if __name__ == "__main__":
    main()
