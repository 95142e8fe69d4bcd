"""Which learning rate a run of few steps wants (T507).

    python -m benchmarks.learning_rates [--seeds 3] [--workers 2] [--output benchmarks/results/learning_rates.json]

What is in the output already is not measured again.

Networks on 1,000 samples at a batch size of 32, trained by Adam at 0.001 and at multiples of it: test accuracy after 25
to 800 steps of one run. The networks, and most of the data sets, are not those of `benchmarks.advice`, so that a limit
drawn from here is tested there.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import argparse
import json
import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers
from rich.console import Console
from rich.table import Table

from advisor.race.statistics import paired_difference
from benchmarks.datasets import parts
from benchmarks.exposure import images, perceptron, recurrent, series, words
from benchmarks.short_runs import accuracy, compiled, train
from benchmarks.timing import machine, write_json

USUAL = 1e-3
FACTORS = (1, 3, 10)
LENGTHS = (25, 50, 100, 200, 400, 800)
SAMPLES, VALIDATION, TEST = 1000, 10, 1000
TEST_OF_DIGITS = 700


def plain_images() -> keras.Model:
    """Three convolutions without normalization."""
    blocks = [layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu") for filters in (16, 32, 64)]
    return keras.Sequential([keras.Input((28, 28, 1)), *blocks, layers.Flatten(), layers.Dense(10, "softmax")])


def deep_perceptron() -> keras.Model:
    """Six dense layers."""
    hidden = [layers.Dense(64, "relu") for _ in range(6)]
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), *hidden, layers.Dense(10, "softmax")])


def attention() -> keras.Model:
    """One block of attention, normalized behind its additions."""
    inputs = keras.Input((128,), dtype="int32")
    x = layers.Embedding(4000, 32)(inputs)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 8)(x, x))
    x = layers.LayerNormalization()(x + layers.Dense(32)(layers.Dense(64, "relu")(x)))
    return keras.Model(inputs, layers.Dense(2, "softmax")(layers.GlobalAveragePooling1D()(x)))


def long_short_term_memory() -> keras.Model:
    """One recurrent layer that reads images row by row."""
    return keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Reshape((28, 28)), layers.LSTM(48), layers.Dense(10, "softmax")]
    )


TRIALS: dict[str, tuple[str, Callable[[], keras.Model]]] = {
    "convolutions with BN": ("mnist", images((28, 28, 1))),
    "convolutions": ("mnist", plain_images),
    "convolutions with BN, colour": ("cifar10", images((32, 32, 3))),
    "two dense layers": ("digits", perceptron),
    "six dense layers": ("digits", deep_perceptron),
    "1-D convolution of words": ("imdb", words),
    "attention": ("imdb", attention),
    "1-D convolutions with BN": ("FordA", series(500, 2)),
    "GRU": ("Crop", recurrent),
    "LSTM": ("mnist", long_short_term_memory),
}


def accuracies(name: str, factor: int, seed: int) -> list[float]:
    """Test accuracy in percent after each of the lengths of one run."""
    data, network = TRIALS[name]
    samples = parts(data, SAMPLES, VALIDATION, TEST_OF_DIGITS if data == "digits" else TEST, seed)
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = compiled(network(), "sparse_categorical_crossentropy", keras.optimizers.Adam(factor * USUAL))
    found = []
    for length, before in zip(LENGTHS, (0, *LENGTHS), strict=False):
        train(model, samples.train, steps=length - before, seed=100 * length + seed)
        found.append(accuracy(model, samples.test))
    return found


def measured(work: tuple[str, int, int]) -> tuple[tuple[str, int, int], list[float]]:
    """A run, with what it is."""
    return work, accuracies(*work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/learning_rates.json"))
    arguments = parser.parse_args()
    rows = json.loads(arguments.output.read_text("utf-8"))["rows"] if arguments.output.exists() else []
    known = {(row["network"], row["factor"], row["seed"]) for row in rows}
    work = [(name, factor, seed) for name in TRIALS for factor in FACTORS for seed in range(arguments.seeds)]
    left = [one for one in work if one not in known]
    with multiprocessing.get_context("spawn").Pool(arguments.workers, maxtasksperchild=12) as pool:
        for (name, factor, seed), found in pool.imap_unordered(measured, left):
            data = TRIALS[name][0]
            rows.append({"network": name, "data": data, "factor": factor, "seed": seed, "accuracy": found})
            rows.sort(key=lambda row: work.index((row["network"], row["factor"], row["seed"])))
            write_json(arguments.output, {"machine": machine(), "samples": SAMPLES, "steps": LENGTHS, "rows": rows})
            print(name, factor, seed, found, flush=True)
    Console().print(table(rows))


def table(rows: Sequence[dict]) -> Table:
    """Accuracy at the usual rate, and what each multiple gains on it, by steps."""
    shown = Table("network", "rate", *(f"{length} steps" for length in LENGTHS))
    for name in dict.fromkeys(row["network"] for row in rows):
        runs = {
            factor: np.array([row["accuracy"] for row in rows if (row["network"], row["factor"]) == (name, factor)])
            for factor in FACTORS
        }
        shown.add_row(name, "× 1", *(f"{mean:.1f} %" for mean in runs[1].mean(axis=0)))
        for factor in FACTORS[1:]:
            gains = [paired_difference(ours, theirs) for ours, theirs in zip(runs[factor].T, runs[1].T, strict=True)]
            shown.add_row("", f"× {factor}", *(f"{gain.mean:+.1f} ± {gain.half_width:.1f}" for gain in gains))
    return shown


if __name__ == "__main__":
    main()
