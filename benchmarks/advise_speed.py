"""How long `advise` and `apply` take, beside Keras's own `clone_model` and `set_weights`.

    python -m benchmarks.advise_speed [--models ResNet50,…] [--repeats 3]
        [--output benchmarks/results/advise_speed.json]

Goals: `advise` at most 0.5 × `clone_model`, in the median over all of `keras.applications`; `apply` without
verification at most 1.5 × (`clone_model` + `set_weights`), on every one of three. All are timed in turn in one process;
the ratios are medians over the repeats.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from pathlib import Path

import keras
from rich.console import Console
from rich.table import Table

from advisor import advise
from benchmarks.timing import interleaved, machine, median, median_ratio, write_json

APPLICATIONS = tuple(sorted(name for name in vars(keras.applications) if name[0].isupper()))
APPLIED = ("ResNet50", "EfficientNetV2M", "ConvNeXtBase")
ADVISE_GOAL, APPLY_GOAL = 0.5, 1.5


def measure(name: str, repeats: int) -> dict[str, float | str | int]:
    keras.utils.clear_session()
    model = getattr(keras.applications, name)(weights=None)
    advice = advise(model, verbose=0)
    callables = {
        "advise": lambda: advise(model, verbose=0),
        "clone_model": lambda: keras.models.clone_model(model),
    }
    if name in APPLIED:
        weights = model.get_weights()
        callables["apply"] = lambda: advice.rewrite(verify=False)
        callables["clone_and_set"] = lambda: keras.models.clone_model(model).set_weights(weights)
    seconds = interleaved(callables, repeats)
    row: dict[str, float | str | int] = {"model": name, "layers": len(model.layers)}
    row |= {f"{what}_s": median(times) for what, times in seconds.items()}
    row["advise_ratio"] = median_ratio(seconds["advise"], seconds["clone_model"])
    if name in APPLIED:
        row["fixes"] = len(advice.rewrite(verify=False).applied)
        row["apply_ratio"] = median_ratio(seconds["apply"], seconds["clone_and_set"])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(APPLICATIONS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/advise_speed.json"))
    arguments = parser.parse_args()
    rows = [measure(name, arguments.repeats) for name in arguments.models.split(",")]
    table = Table("model", "layers", "clone_model", "advise", "ratio", "apply", "ratio ≤ 1.5")
    for row in rows:
        applied = (f"{row['apply_s']:.2f} s", f"{row['apply_ratio']:.2f}") if "apply_s" in row else ()
        table.add_row(
            str(row["model"]),
            str(row["layers"]),
            f"{row['clone_model_s']:.2f} s",
            f"{row['advise_s']:.3f} s",
            f"{row['advise_ratio']:.2f}",
            *applied,
        )
    advising = median([float(row["advise_ratio"]) for row in rows])
    table.add_row("median ≤ 0.5", "", "", "", f"{advising:.2f}")
    Console().print(table)
    met = advising <= ADVISE_GOAL and all(float(row.get("apply_ratio", 0)) <= APPLY_GOAL for row in rows)
    payload = {
        "machine": machine(),
        "repeats": arguments.repeats,
        "goals": {"advise": ADVISE_GOAL, "apply": APPLY_GOAL, "met": met},
        "advise_ratio_median": advising,
        "rows": rows,
    }
    write_json(arguments.output, payload)


if __name__ == "__main__":
    main()
