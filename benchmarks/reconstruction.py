"""Which normalization suits networks that make images of images, at a batch of 2 (N102).

    python -m benchmarks.reconstruction [--seeds 3] [--workers 2] [--output benchmarks/results/reconstruction.json]

An autoencoder and a U-Net that takes noise away, on 1,200 images of CIFAR-10, 4 epochs of Adam at its default rate: R²
of the pixels of 500 test images, in hundredths.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import argparse
import math
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers

from benchmarks.datasets import parts
from benchmarks.short_runs import report
from benchmarks.timing import machine, write_json

SAMPLES, VALIDATION, TEST = 1200, 100, 500
BATCH_SIZE, EPOCHS, NOISE = 2, 4, 0.2
GROUPS = 32

NORMS: dict[str, Callable[[int], keras.Layer]] = {
    "none": lambda channels: layers.Identity(),
    "batch": lambda channels: layers.BatchNormalization(),
    "batch renormalization": lambda channels: layers.BatchNormalization(renorm=True),
    "groups of 1 to 3 channels": lambda channels: layers.GroupNormalization(math.gcd(GROUPS, channels)),
    "one group": lambda channels: layers.GroupNormalization(1),
}


def network(norm: Callable[[int], keras.Layer], *, denoises: bool) -> keras.Model:
    """Three convolutions down and three up; with skips, and noise on the inputs in training, where it denoises."""

    def block(x: keras.KerasTensor, layer: type[keras.Layer], filters: int) -> keras.KerasTensor:
        return layers.ReLU()(norm(filters)(layer(filters, 3, strides=2, padding="same")(x)))

    inputs = keras.Input((32, 32, 3))
    x = layers.GaussianNoise(NOISE)(inputs) if denoises else inputs
    maps = []
    for filters in (24, 32, 48):
        x = block(x, layers.Conv2D, filters)
        maps.append(x)
    for filters, skip in zip((32, 24), reversed(maps[:-1]), strict=True):
        x = block(x, layers.Conv2DTranspose, filters)
        x = layers.Add()([x, skip]) if denoises else x
    x = block(x, layers.Conv2DTranspose, 24)
    model = keras.Model(inputs, layers.Conv2D(3, 3, padding="same", activation="sigmoid")(x))
    model.compile("adam", "mse")
    return model


NETWORKS = {"autoencoder": False, "denoising U-Net": True}


def points(work: tuple[str, str, int]) -> tuple[tuple[str, str, int], float]:
    """R² in hundredths, with what it is of."""
    name, norm, seed = work
    drawn = parts("cifar10", SAMPLES, VALIDATION, TEST, seed)
    training, test = drawn.train[0], drawn.test[0]
    keras.utils.set_random_seed(seed)
    model = network(NORMS[norm], denoises=NETWORKS[name])
    model.fit(training, training, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    error = np.mean((model.predict(test, batch_size=250, verbose=0) - test) ** 2)
    return work, round(100 * float(1 - error / np.mean((test - test.mean(axis=0)) ** 2)), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/reconstruction.json"))
    arguments = parser.parse_args()
    seeds = range(arguments.seeds)
    work = [(name, norm, seed) for name in NETWORKS for norm in NORMS for seed in seeds]
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        found = dict(pool.imap_unordered(points, work))
    rows = [
        report({"network": name, "norm": norm}, {"points": [found[name, norm, seed] for seed in seeds]})
        for name in NETWORKS
        for norm in NORMS
    ]
    write_json(arguments.output, {"machine": machine(), "rows": rows})


if __name__ == "__main__":
    main()
