"""How often T505 names the defect of a run whose defect is known, by the noise of its curves and its length.

    python -m benchmarks.learning_curves [--runs 60]

Made curves: the validation loss starts near 2 and has normal noise of that deviation, the training loss of half of it.
Counted are the runs in which the defect is named, and no other of overfitting, underfitting and divergence.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from advisor.facts.learning_curves import judge
from advisor.facts.verdicts import Divergence, Overfitting, Underfitting
from benchmarks.short_runs import update
from benchmarks.timing import RESULTS

GRAVE = (Overfitting, Underfitting, Divergence)
EPOCHS, NOISES = (30, 100), (0.05, 0.2)

Curves = tuple[np.ndarray, np.ndarray]
"""Training and validation loss."""


def falling(epochs: int, constant: float, start: float = 2.0, end: float = 0.0) -> np.ndarray:
    """A loss that falls from `start` to `end`, by a factor e in each `constant`-th part of the run."""
    return (start - end) * np.exp(-constant * np.arange(epochs) / epochs) + end


def overfitted(epochs: int) -> Curves:
    return falling(epochs, 4), falling(epochs, 8, end=0.5) + 0.8 * np.arange(epochs) / epochs


def left_behind(epochs: int) -> Curves:
    return falling(epochs, 5), falling(epochs, 8, end=1.0)


def underfitted(epochs: int) -> Curves:
    return falling(epochs, 8, 2.3, 2.0), falling(epochs, 8, 2.3, 2.05)


def learned_nothing(epochs: int) -> Curves:
    return np.full(epochs, 2.3), np.full(epochs, 2.3)


def converged(epochs: int) -> Curves:
    return falling(epochs, 8, end=0.05), falling(epochs, 8, end=0.08)


DEFECTS: dict[str, tuple[Callable[[int], Curves], type | None]] = {
    "overfitting, validation loss rises": (overfitted, Overfitting),
    "overfitting, validation loss stays behind": (left_behind, Overfitting),
    "underfitting": (underfitted, Underfitting),
    "nothing learned": (learned_nothing, Underfitting),
    "converged: none of the three": (converged, None),
}


def is_named(curves: Curves, kind: type | None, noise: float, seed: int) -> bool:
    generator = np.random.default_rng(seed)
    training, validation = (
        list(curve + share * noise * generator.normal(size=len(curve)))
        for curve, share in zip(curves, (0.5, 1.0), strict=True)
    )
    verdicts = judge({"loss": training, "val_loss": validation})
    return {type(one) for one in verdicts if isinstance(one, GRAVE)} == ({kind} if kind else set())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--output", type=Path, default=RESULTS / "learning_curves.json")
    options = parser.parse_args()
    rows = []
    for defect, (curves, kind) in DEFECTS.items():
        shares = {
            f"{epochs} epochs, noise {noise}": float(
                np.mean([is_named(curves(epochs), kind, noise, seed) for seed in range(options.runs)])
            )
            for epochs in EPOCHS
            for noise in NOISES
        }
        print(defect, *(f"{share:.0%}" for share in shares.values()), sep="  ")
        rows.append({"defect": defect, "shares": shares})
    update(options.output, {"runs": options.runs, "rows": rows})


if __name__ == "__main__":
    main()
