"""The scale of inputs (H606): how well a small perceptron learns from features that are off, in one way and another.

    python -m benchmarks.inputs [--seeds 5]

scikit-learn's `MLPClassifier((32,), max_iter=30, batch_size=32)` (Adam at 0.001), half of the data for training;
accuracy on the other half in percent. `z` are features standardized by the training half.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.short_runs import report, update
from benchmarks.timing import RESULTS

SETS = {"wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}

FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "z": lambda z: z,
    **{f"z * {factor:g}": lambda z, factor=factor: z * factor for factor in (0.01, 0.03, 0.1, 3, 10, 30, 100)},
    **{f"z + {offset}": lambda z, offset=offset: z + offset for offset in (1, 3, 5, 10)},
    **{
        f"one feature * {factor}": lambda z, factor=factor: np.c_[z[:, :1] * factor, z[:, 1:]]
        for factor in (10, 30, 100, 1000)
    },
}


def accuracies(features: np.ndarray, labels: np.ndarray, seeds: int) -> list[float]:
    half = len(labels) // 2
    found = []
    for seed in range(seeds):
        network = MLPClassifier((32,), max_iter=30, batch_size=32, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(features[:half], labels[:half])
        found.append(round(100 * network.score(features[half:], labels[half:]), 2))
    return found


def shuffled(name: str) -> tuple[np.ndarray, np.ndarray]:
    features, labels = SETS[name](return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    return features[order], labels[order]


def standardized(features: np.ndarray) -> np.ndarray:
    known = features[: len(features) // 2]
    deviations = known.std(axis=0)
    return (features - known.mean(axis=0)) / np.where(deviations > 0, deviations, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "inputs.json")
    options = parser.parse_args()
    sets = {name: shuffled(name) for name in SETS}
    rows = [
        report(
            {"inputs": form},
            {name: accuracies(make(standardized(x)), y, options.seeds) for name, (x, y) in sets.items()},
        )
        for form, make in FORMS.items()
    ]
    raw = report({"inputs": "as they come"}, {name: accuracies(x, y, options.seeds) for name, (x, y) in sets.items()})
    deviations = {name: round(float(x.std(axis=0).max()), 1) for name, (x, _) in sets.items()}
    update(options.output, {"largest deviation": deviations, "rows": [raw, *rows]})


if __name__ == "__main__":
    main()
