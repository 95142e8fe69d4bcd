"""How long `advise` and `apply` take, beside Keras's own `clone_model` and `set_weights`.

    python -m benchmarks.advise_speed [--repeats 5] [--output benchmarks/results/advise_speed.json]

Goals: `advise` at most 0.5 × `clone_model`; `apply` without verification at most 1.5 × (`clone_model` + `set_weights`).
All are timed in turn in one process; the ratios are medians over the repeats.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import statistics
from pathlib import Path

import keras
from rich.console import Console
from rich.table import Table

from advisor import advise
from benchmarks.timing import interleaved, machine, write_json

MODELS = ("ResNet50", "EfficientNetV2M", "ConvNeXtBase")
ADVISE_GOAL, APPLY_GOAL = 0.5, 1.5


def measure(name: str, repeats: int) -> dict[str, float | str | int]:
    model = getattr(keras.applications, name)(weights=None)
    advice = advise(model, verbose=0)
    weights = model.get_weights()
    seconds = interleaved(
        {
            "advise": lambda: advise(model, verbose=0),
            "apply": lambda: advice.rewrite(verify=False),
            "clone_model": lambda: keras.models.clone_model(model),
            "clone_and_set": lambda: keras.models.clone_model(model).set_weights(weights),
        },
        repeats,
    )
    medians = {what: statistics.median(times) for what, times in seconds.items()}
    return {
        "model": name,
        "fixes": len(advice.rewrite(verify=False).applied),
        **{f"{what}_s": value for what, value in medians.items()},
        "advise_ratio": _ratio(seconds["advise"], seconds["clone_model"]),
        "apply_ratio": _ratio(seconds["apply"], seconds["clone_and_set"]),
    }


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/advise_speed.json"))
    arguments = parser.parse_args()
    rows = [measure(name, arguments.repeats) for name in MODELS]
    table = Table("model", "fixes", "clone_model", "advise", "ratio ≤ 0.5", "apply", "ratio ≤ 1.5")
    for row in rows:
        table.add_row(
            str(row["model"]),
            str(row["fixes"]),
            f"{row['clone_model_s']:.2f} s",
            f"{row['advise_s']:.3f} s",
            f"{row['advise_ratio']:.2f}",
            f"{row['apply_s']:.2f} s",
            f"{row['apply_ratio']:.2f}",
        )
    Console().print(table)
    met = all(row["advise_ratio"] <= ADVISE_GOAL and row["apply_ratio"] <= APPLY_GOAL for row in rows)
    goals = {"advise": ADVISE_GOAL, "apply": APPLY_GOAL, "met": met}
    write_json(arguments.output, {"machine": machine(), "repeats": arguments.repeats, "goals": goals, "rows": rows})


if __name__ == "__main__":
    main()
