"""Recurrent and attention networks without normalization, before and after the fixes of N108 and N111, on the digits.

    python -m benchmarks.missing_norms [--seeds 2] [--epochs 5] [--output benchmarks/results/missing_norms.json]

The rows of an image are the steps of a sequence. Test accuracy per seed, at the default learning rate of Adam.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from collections.abc import Callable
from pathlib import Path

import keras
from keras import layers
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from advisor import advise
from benchmarks.timing import machine, write_json

WIDTH = 64
DEPTHS = (2, 4)


def recurrent(depth: int) -> keras.Model:
    below = [layers.LSTM(WIDTH, return_sequences=True) for _ in range(depth - 1)]
    return keras.Sequential([keras.Input((8, 8)), *below, layers.LSTM(WIDTH), layers.Dense(10, activation="softmax")])


def attention(depth: int) -> keras.Model:
    rows = keras.Input((8, 8))
    x = layers.Dense(WIDTH)(rows)
    x = x + layers.Embedding(8, WIDTH)(keras.ops.expand_dims(keras.ops.arange(8), 0))
    for _ in range(depth):
        x = x + layers.MultiHeadAttention(4, WIDTH // 4)(x, x)
        x = x + layers.Dense(WIDTH)(layers.Dense(4 * WIDTH, activation="gelu")(x))
    return keras.Model(rows, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


NETWORKS: dict[str, Callable[[int], keras.Model]] = {"N111": attention, "N108": recurrent}


def accuracy(model: keras.Model, epochs: int, data: tuple) -> float:
    x, x_test, y, y_test = data
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    model.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
    return float(model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"])


def compared(code: str, depth: int, seeds: int, epochs: int, data: tuple) -> dict:
    row: dict = {"rule": code, "depth": depth, "without": [], "fixed": []}
    for seed in range(seeds):
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        bare = NETWORKS[code](depth)
        fixed = advise(bare, select=code, trained=False, verbose=0).apply()
        for name, model in (("without", bare), ("fixed", fixed)):
            keras.utils.set_random_seed(seed)
            row[name].append(accuracy(model, epochs, data))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/missing_norms.json"))
    arguments = parser.parse_args()
    digits = load_digits()
    images = (digits.images / 16.0).astype("float32")
    data = train_test_split(images, digits.target, test_size=0.2, random_state=0)
    table = Table("rule", "depth", "without", "fixed")
    rows = []
    for code in NETWORKS:
        for depth in DEPTHS:
            rows.append(compared(code, depth, arguments.seeds, arguments.epochs, data))
            cells = [", ".join(f"{value:.1%}" for value in rows[-1][name]) for name in ("without", "fixed")]
            print(code, depth, *cells, flush=True)
            table.add_row(code, str(depth), *cells)
    Console().print(table)
    write_json(arguments.output, {"machine": machine(), "epochs": arguments.epochs, "rows": rows})


if __name__ == "__main__":
    main()
