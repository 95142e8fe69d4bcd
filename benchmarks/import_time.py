"""How long `from advisor import advise` takes beside `import keras`, each in a process of its own, in turn.

    python -m benchmarks.import_time [--repeats 7] [--output benchmarks/results/import_time.json]

Goal: at most 1.1 × Keras.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import interleaved, machine, median, median_ratio, write_json

STATEMENTS = {
    "keras": "import keras",
    "advisor": "from advisor import advise",
    "keras_normpack": "import keras_normpack",
}
GOAL = 1.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/import_time.json"))
    arguments = parser.parse_args()
    commands = {
        name: lambda statement=statement: subprocess.run(
            [sys.executable, "-c", statement], check=True, stderr=subprocess.DEVNULL
        )
        for name, statement in STATEMENTS.items()
    }
    seconds = interleaved(commands, arguments.repeats)
    ratios = {name: median_ratio(times, seconds["keras"]) for name, times in seconds.items()}
    for name, times in seconds.items():
        print(f"{STATEMENTS[name]:<28} {median(times):.2f} s   {ratios[name]:.2f} × keras")
    met = all(ratio <= GOAL for ratio in ratios.values())
    medians = {name: median(times) for name, times in seconds.items()}
    payload = {"machine": machine(), "repeats": arguments.repeats, "goal": GOAL, "met": met}
    write_json(arguments.output, {**payload, "seconds": medians, "ratios": ratios})


if __name__ == "__main__":
    main()
