"""How often a network has to see its samples before means against overfitting pay.

    python -m benchmarks.exposure [--seeds 3] [--output benchmarks/results/exposure.json]

What is in the output already is not measured again.

Networks that train well (batch normalization with a momentum of 0.9, scaled inputs) on 1,000 samples at a batch size
of 32, each with one means against overfitting and without: test accuracy after 4, 8, 16, 32 and 64 epochs of one run at
the default learning rate of Adam. The networks, and most of the data sets, are not those of `benchmarks.advice`, so
that a limit drawn from here is tested there.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers
from rich.console import Console
from rich.table import Table

import keras_normpack
from advisor.graph import LayerSpec
from advisor.race.statistics import paired_difference
from advisor.rewrite import add_dropout
from advisor.training import TrainingPlan
from benchmarks.datasets import parts
from benchmarks.timing import machine, write_json

LENGTHS = (4, 8, 16, 32, 64)
SAMPLES, VALIDATION, TEST = 1000, 10, 2000
BATCH_SIZE = 32


@dataclass(frozen=True)
class Trial:
    """A network on a data set, and what may be done against overfitting.

    Attributes:
        data: Name of the data set.
        network: Builds the network.
        augmentation: Layers that vary the inputs; none where none are known to fit.
    """

    data: str
    network: Callable[[], keras.Model]
    augmentation: tuple[LayerSpec, ...] = ()


def images(shape: tuple[int, ...]) -> Callable[[], keras.Model]:
    def network() -> keras.Model:
        blocks = []
        for filters, strides in ((16, 2), (32, 2), (64, 1)):
            blocks += [
                layers.Conv2D(filters, 3, strides=strides, padding="same"),
                layers.BatchNormalization(momentum=0.9),
                layers.ReLU(),
            ]
        return keras.Sequential(
            [keras.Input(shape), *blocks, layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")]
        )

    return network


def series(length: int, classes: int) -> Callable[[], keras.Model]:
    def network() -> keras.Model:
        blocks = []
        for filters, strides in ((32, 4), (32, 2), (64, 1)):
            blocks += [
                layers.Conv1D(filters, 7, strides=strides, padding="same"),
                layers.BatchNormalization(momentum=0.9),
                layers.ReLU(),
            ]
        return keras.Sequential(
            [keras.Input((length, 1)), *blocks, layers.Flatten(), layers.Dense(classes, activation="softmax")]
        )

    return network


def recurrent() -> keras.Model:
    return keras.Sequential(
        [keras.Input((46, 1)), layers.AveragePooling1D(2), layers.GRU(48), layers.Dense(24, activation="softmax")]
    )


def words() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((128,), dtype="int32"),
            layers.Embedding(4000, 32),
            layers.Conv1D(32, 5, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(64, activation="relu"),
            layers.Dense(2, activation="softmax"),
        ]
    )


def perceptron() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


MOVED = LayerSpec(layers.RandomTranslation, {"height_factor": 0.1, "width_factor": 0.1, "fill_mode": "nearest"})
MIRRORED = LayerSpec(layers.RandomFlip, {"mode": "horizontal"})
SHIFTED = LayerSpec(keras_normpack.RandomTimeShift, {"factor": 0.1, "fill_mode": "nearest"})

TRIALS = (
    Trial("mnist", images((28, 28, 1)), (MOVED,)),
    Trial("cifar10", images((32, 32, 3)), (MIRRORED, MOVED)),
    Trial("digits", perceptron),
    Trial("imdb", words),
    Trial("FordA", series(500, 2), (SHIFTED,)),
    Trial("ElectricDevices", series(96, 7), (SHIFTED,)),
    Trial("Crop", recurrent, (SHIFTED,)),
)


def ways(trial: Trial, classes: int) -> dict[str, Callable[[], tuple[keras.Model, TrainingPlan]]]:
    """What is done against overfitting, by name: a network and its plan."""
    found: dict[str, Callable[[], tuple[keras.Model, TrainingPlan]]] = {
        "none": lambda: (trial.network(), TrainingPlan()),
        "dropout 0.3": lambda: (add_dropout(trial.network(), 0.3), TrainingPlan()),
        "dropout 0.5": lambda: (add_dropout(trial.network(), 0.5), TrainingPlan()),
        "label smoothing 0.1": lambda: (trial.network(), TrainingPlan(label_smoothing=0.1, classes=classes)),
    }
    if trial.augmentation:
        rank = len(trial.network().input_shape)
        found["augmentation"] = lambda: (
            trial.network(),
            TrainingPlan(augmentation=trial.augmentation, input_rank=rank),
        )
    return found


def accuracies(trial: Trial, make: Callable[[], tuple[keras.Model, TrainingPlan]], seed: int) -> list[float]:
    """Test accuracy in percent after each of the lengths of one run."""
    data = parts(trial.data, SAMPLES, VALIDATION, TEST if trial.data != "digits" else 700)
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model, plan = make()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    x, y = data.test
    found: list[float] = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            if epoch + 1 in LENGTHS:
                scores = np.asarray(self.model.predict(x, batch_size=500, verbose=0))
                found.append(100 * float((scores.argmax(-1) == y).mean()))

    keras.utils.set_random_seed(seed)
    plan.fit(model, *data.train, batch_size=BATCH_SIZE, epochs=LENGTHS[-1], callbacks=[Watch()], verbose=0)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/exposure.json"))
    arguments = parser.parse_args()
    rows = json.loads(arguments.output.read_text("utf-8"))["rows"] if arguments.output.exists() else []
    for trial in TRIALS:
        classes = parts(trial.data, SAMPLES, VALIDATION, 100).classes
        for way, make in ways(trial, classes).items():
            known = {(row["data"], row["way"]) for row in rows}
            if (trial.data, way) not in known:
                found = [accuracies(trial, make, seed) for seed in range(arguments.seeds)]
                rows.append({"data": trial.data, "way": way, "epochs": LENGTHS, "accuracy": found})
                write_json(arguments.output, {"machine": machine(), "samples": SAMPLES, "rows": rows})
    Console().print(_table(rows))


def _table(rows: list[dict]) -> Table:
    table = Table("data", "against overfitting", *(f"{length} epochs" for length in LENGTHS))
    plain = {row["data"]: row["accuracy"] for row in rows if row["way"] == "none"}
    for row in rows:
        cells = [_cell(row["accuracy"], plain[row["data"]], position) for position in range(len(LENGTHS))]
        table.add_row(row["data"], row["way"], *cells)
    return table


def _cell(found: list[list[float]], plain: list[list[float]], position: int) -> str:
    ours, theirs = ([run[position] for run in runs] for runs in (found, plain))
    if ours == theirs:
        return f"{np.mean(ours):.1f} %"
    gain = paired_difference(ours, theirs)
    return f"{gain.mean:+.1f} ± {gain.half_width:.1f}"


if __name__ == "__main__":
    main()
