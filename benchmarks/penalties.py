"""Penalties on weights: what R302, R304 and R306 say, by training.

    python -m benchmarks.penalties [--parts decay strength columns] [--seeds 3]

- `decay` (R302): L2 under Adam against the decoupled decay of AdamW, on 300 digits with a tenth of the labels drawn at
  random, and how large the weights are in the end.
- `strength` (R304): L2 from nothing to far too much, and the ratio of penalty to loss that is measured at the start.
- `columns` (R306): L2, L1 and group lasso on the first layer, on made tables most of whose columns tell nothing, and
  on breast cancer, most of whose columns tell something.

Parts that are not run keep the rows that the result file holds. Takes some minutes on two cores.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_breast_cancer

from advisor.facts.probes import make_probes
from advisor.facts.read_data import read_data
from advisor.graph import read_graph
from benchmarks.short_runs import Samples, accuracy, compiled, digits, outputs, report, train, update
from benchmarks.timing import RESULTS
from keras_normpack.regularizers import GroupLasso

L2 = keras.regularizers.L2
L1 = keras.regularizers.L1


@dataclass(frozen=True)
class Decay:
    """One way to keep weights small: a penalty under Adam, or decoupled decay (AdamW)."""

    name: str
    penalty: float = 0.0
    decay: float = 0.0

    def optimizer(self) -> keras.optimizers.Optimizer:
        if not self.decay:
            return keras.optimizers.Adam(1e-3)
        optimizer = keras.optimizers.AdamW(1e-3, weight_decay=self.decay)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        return optimizer


DECAYS = (
    Decay("none"),
    *(Decay(f"L2 {factor:g}", penalty=factor) for factor in (1e-4, 1e-3, 1e-2)),
    *(Decay(f"AdamW {factor:g}", decay=factor) for factor in (2e-4, 2e-3, 4e-3, 2e-2, 0.1, 0.2, 0.5, 1.0, 2.0)),
)

STRENGTHS = (0.0, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1)

PENALTIES: dict[str, Callable[[], keras.regularizers.Regularizer | None]] = {
    "none": lambda: None,
    "L2 0.001": lambda: L2(1e-3),
    "L1 0.003": lambda: L1(3e-3),
    "group lasso 0.003": lambda: GroupLasso(3e-3),
}
MADE_TABLES = ((100, 2), (100, 10), (100, 20), (100, 50), (30, 5), (30, 20))
"""Columns, and rows for each column."""
BREAST_CANCER_ROWS = (60, 150, 400)


def classifier(penalty: float) -> keras.Model:
    def regularizer() -> keras.regularizers.Regularizer | None:
        return L2(penalty) if penalty else None

    hidden = [layers.Dense(128, activation="relu", kernel_regularizer=regularizer()) for _ in range(2)]
    return keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10)])


def decayed(way: Decay, seed: int) -> tuple[float, float]:
    """Accuracy in percent on 1,000 digits, and the sum of the squared kernels."""
    images, labels = digits()
    pixels = images.reshape(len(images), -1)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(pixels))
    chosen, tested = order[:300], order[-1000:]
    noisy = np.where(generator.random(len(labels)) < 0.1, generator.integers(0, 10, len(labels)), labels)
    keras.utils.set_random_seed(seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = compiled(classifier(way.penalty), loss, way.optimizer())
    train(model, (pixels[chosen], noisy[chosen]), steps=1000, seed=seed)
    squares = sum(float(np.square(keras.ops.convert_to_numpy(layer.kernel)).sum()) for layer in model.layers)
    return accuracy(model, (pixels[tested], labels[tested])), round(squares, 1)


def decay_rows(seeds: range) -> Iterator[dict]:
    for way in DECAYS:
        accuracies, squares = zip(*(decayed(way, seed) for seed in seeds), strict=True)
        yield report({"way": way.name}, {"accuracy": accuracies, "squared kernels": squares})


def penalized(strength: float, seed: int) -> tuple[float, float, float]:
    """Ratio of penalty to loss before training, then training and test accuracy in percent."""
    images, labels = digits()
    pixels = images.reshape(len(images), -1)
    training = pixels[:1000], labels[:1000]
    keras.utils.set_random_seed(seed)
    model = compiled(classifier(strength), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    graph = read_graph(model)
    ratio = make_probes(graph, read_data(training, graph, batch_size=32), batch_size=32)["penalty_ratio"]("")
    train(model, training, steps=30 * 1000 // 32, seed=seed)
    return ratio.value, accuracy(model, training), accuracy(model, (pixels[1000:], labels[1000:]))


def strength_rows(seeds: range) -> Iterator[dict]:
    for strength in STRENGTHS:
        ratios, seen, new = zip(*(penalized(strength, seed) for seed in seeds), strict=True)
        yield report({"L2": strength}, {"penalty to loss": ratios, "training": seen, "test": new})


def made_table(columns: int, rows: int, seed: int) -> tuple[Samples, Samples]:
    """Six columns matter, two of them only as a product and one only as an absolute value."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows + 2000, columns)).astype("float32")
    score = x[:, 0] + 1.5 * x[:, 1] * x[:, 2] + 1.5 * np.abs(x[:, 3]) - 1.2 + x[:, 4] - x[:, 5]
    y = (score + 0.5 * generator.normal(size=len(score)) > 0).astype("int64")
    return (x[:rows], y[:rows]), (x[rows:], y[rows:])


def breast_cancer(rows: int, seed: int) -> tuple[Samples, Samples]:
    x, y = load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    order = np.random.default_rng(seed).permutation(len(x))
    return (x[order[:rows]], y[order[:rows]]), (x[order[rows:]], y[order[rows:]])


def selected(samples: tuple[Samples, Samples], penalty: keras.regularizers.Regularizer | None, seed: int) -> float:
    """Test accuracy in percent."""
    training, (x, y) = samples
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input(training[0].shape[1:]),
            layers.Dense(32, activation="relu", kernel_regularizer=penalty),
            layers.Dense(16, activation="relu"),
            layers.Dense(1),
        ]
    )
    compiled(model, keras.losses.BinaryCrossentropy(from_logits=True), keras.optimizers.Adam(2e-3))
    train(model, training, steps=1500, seed=seed)
    return round(100 * float(np.mean((outputs(model, x)[:, 0] > 0) == (y == 1))), 2)


def column_rows(seeds: range) -> Iterator[dict]:
    tables = [
        ("made", columns, per_column, lambda seed, c=columns, r=per_column: made_table(c, c * r, seed))
        for columns, per_column in MADE_TABLES
    ] + [("breast cancer", 30, rows // 30, lambda seed, r=rows: breast_cancer(r, seed)) for rows in BREAST_CANCER_ROWS]
    for name, columns, per_column, make in tables:
        found = {
            penalty: [selected(make(seed), regularizer(), seed) for seed in seeds]
            for penalty, regularizer in PENALTIES.items()
        }
        yield report({"table": name, "columns": columns, "rows per column": per_column}, found)
        keras.backend.clear_session()


PARTS = {"decay": decay_rows, "strength": strength_rows, "columns": column_rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "penalties.json")
    options = parser.parse_args()
    for part in options.parts:
        update(options.output, {part: list(PARTS[part](range(options.seeds)))})


if __name__ == "__main__":
    main()
