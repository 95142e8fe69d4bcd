"""Batch statistics at batches of 2 and 4 on the digits: what is measured before training, and what training says.

    python -m benchmarks.small_batches [--seeds 3] [--epochs 5] [--output benchmarks/results/small_batches.json]

The network of `examples/01_advise_a_small_cnn.py` with batch normalization (momentum 0.9), group normalization
(8 groups) or batch renormalization; test accuracy per seed, and the effective samples per channel that N102 measures.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from pathlib import Path

import keras
from keras import layers
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from advisor import advise
from advisor.rewrite import replace_norm
from benchmarks.timing import machine, write_json

NORMS = {
    "batch": (layers.BatchNormalization, {"momentum": 0.9}),
    "group": (layers.GroupNormalization, {"groups": 8}),
    "renormalized": (layers.BatchNormalization, {"renorm": True}),
}


def network() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same"),
            layers.BatchNormalization(name="norm1"),
            layers.ReLU(),
            layers.Conv2D(32, 3, padding="same"),
            layers.BatchNormalization(name="norm2"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def accuracy(norm: str, batch_size: int, seed: int, epochs: int, data: tuple) -> float:
    x, x_test, y, y_test = data
    keras.utils.set_random_seed(seed)
    cls, arguments = NORMS[norm]
    model = replace_norm(network(), cls, **arguments)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    model.fit(x, y, epochs=epochs, batch_size=batch_size, verbose=0)
    return float(model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"])


def effective_samples(batch_size: int, data: tuple) -> list[float]:
    keras.utils.set_random_seed(0)
    facts = advise(network(), batch_size=batch_size, data=(data[0], data[2]), verbose=0).examination.facts
    return [facts.measure("batch_dispersion", path).value for path in ("norm1", "norm2")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/small_batches.json"))
    arguments = parser.parse_args()
    digits = load_digits()
    images = (digits.images[..., None] / 16.0).astype("float32")
    data = train_test_split(images, digits.target, test_size=0.2, random_state=0)
    rows = [
        {
            "batch_size": batch_size,
            "effective_samples": effective_samples(batch_size, data),
            **{
                norm: [accuracy(norm, batch_size, seed, arguments.epochs, data) for seed in range(arguments.seeds)]
                for norm in NORMS
            },
        }
        for batch_size in (2, 4)
    ]
    table = Table("batch", "effective samples", *NORMS)
    for row in rows:
        cells = [", ".join(f"{value:.1%}" for value in row[norm]) for norm in NORMS]
        table.add_row(str(row["batch_size"]), ", ".join(f"{v:.0f}" for v in row["effective_samples"]), *cells)
    Console().print(table)
    write_json(arguments.output, {"machine": machine(), "epochs": arguments.epochs, "rows": rows})


if __name__ == "__main__":
    main()
