"""How often a race claims a difference where there is none: simulated races of equal candidates.

    python -m benchmarks.race_claims [--races 400] [--output benchmarks/results/race_claims.json]

Twelve challengers that are all the original run through the schedule of a real race, heats, semifinal and final, with
made-up right answers: a sample is easy or hard for all models alike, and a seed makes a model better or worse.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from advisor.race.candidate import Candidate
from advisor.race.result import Standing, standings_of
from advisor.race.schedule import ORIGINAL, Budget, walk
from advisor.race.trial import Outcome, Trial
from benchmarks.timing import machine, write_json

CHALLENGERS = 12
EPOCHS = 9
ABILITY, DIFFICULTY = 1.5, 1.5


def raced(seeds: int, samples: int, over_seeds: float, generator: np.random.Generator) -> tuple[Standing, ...]:
    names = [ORIGINAL, *(f"c{number}" for number in range(CHALLENGERS))]
    candidates = [Candidate(name, name, None, None) for name in names]
    difficulty = generator.normal(0, DIFFICULTY, 2 * samples)
    outcomes: dict[Trial, Outcome] = {}
    steps = walk(names[1:], epochs=EPOCHS, seeds=seeds, budget=Budget(trials=100))
    trial = next(steps)
    while True:
        ability = ABILITY + generator.normal(0, over_seeds)
        right = (ability + difficulty + generator.normal(0, 1, 2 * samples) > 0).astype("float64")
        outcomes[trial] = Outcome(right[1::2], float(right[::2].mean()), trial.epochs, 1.0)
        try:
            trial = steps.send(outcomes[trial])
        except StopIteration:
            return standings_of(candidates, outcomes, epochs=EPOCHS, seeds=seeds, counts_right_answers=True)


def row_of(seeds: int, samples: int, over_seeds: float, races: int) -> dict[str, float]:
    generator = np.random.default_rng(0)
    winners, claims, widths, spreads = 0, 0, [], []
    for _ in range(races):
        standings = raced(seeds, samples, over_seeds, generator)
        winners += standings[0].verdict == "better"
        claims += any(one.verdict in ("better", "worse") for one in standings)
        widths += [one.difference.half_width for one in standings if one.difference is not None]
        spreads += [one.spread for one in standings if one.rung == "final"]
    return {
        "seeds": seeds,
        "samples": samples,
        "points over seeds": float(np.mean(spreads)),
        "half width": float(np.median(widths)),
        "false winners": winners / races,
        "races with a false claim": claims / races,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=400)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    rows = [
        row_of(seeds, samples, over_seeds, options.races)
        for seeds in (3, 5)
        for samples in (200, 1000)
        for over_seeds in (0.05, 0.2, 0.5)
    ]
    table = Table(title=f"{options.races} races of {CHALLENGERS + 1} equal candidates each")
    for heading in rows[0]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(f"{value:.3g}" for value in row.values()))
    Console().print(table)
    if options.output:
        write_json(options.output, {"machine": machine(), "races": options.races, "rows": rows})


if __name__ == "__main__":
    main()
