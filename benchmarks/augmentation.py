"""What augmentation, mixing and label smoothing do to small networks on small sets: A401, A402, A403, A406 and R307.

    python -m benchmarks.augmentation --data-dir DIR [--fsdd FILE] [--sets digits mnist fsdd ECG5000 FordA] [--seeds 3]

Accuracy in percent on new samples. The perceptron has one hidden layer of 128, the network of two convolutions batch
normalization. `DIR` holds MNIST as TensorFlow Datasets leave it, and `npz/ucr_ECG5000.npz` and `npz/ucr_FordA.npz` with
`x_train`, `y_train`, `x_test` and `y_test` as the UCR archive has them. `FILE` holds the Free Spoken Digit Dataset: `x`
(3000, 8000), padded with zeros, `y`, `speaker` and `test`, the published test part. The digits need neither.

Sets that are not run keep the rows that the result file holds. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
from keras import layers

import keras_normpack as kn
from benchmarks.short_runs import Samples, accuracy, compiled, digits, report, train, update
from benchmarks.timing import RESULTS

Layers = tuple[keras.Layer, ...]
TESTED = 2500


@dataclass(frozen=True)
class Way:
    """How a network is trained: made anew for every seed, as random layers have a state."""

    augmentation: Callable[[], Layers] = tuple
    mixing: Callable[[], keras.Layer] | None = None
    smoothing: float = 0.0


@dataclass(frozen=True)
class Trial:
    """A network, the samples it is trained and tested on, and ways to train it."""

    title: str
    training: Samples
    test: Samples
    epochs: int
    ways: Mapping[str, Way]
    network: Callable[[tuple[int, ...], int], keras.Model] = field(default_factory=lambda: perceptron)

    @property
    def classes(self) -> int:
        return int(max(self.training[1].max(), self.test[1].max())) + 1


def perceptron(shape: tuple[int, ...], classes: int) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def convolutions(shape: tuple[int, ...], classes: int) -> keras.Model:
    model = keras.Sequential([keras.Input(shape)])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(classes, activation="softmax"))
    return model


def trained(trial: Trial, way: Way, seed: int) -> float:
    """Accuracy in percent."""
    keras.utils.set_random_seed(seed)
    inputs, labels = trial.training
    model = trial.network(inputs.shape[1:], trial.classes)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=way.smoothing)
    compiled(model, loss)
    augmentation, mixing = way.augmentation(), way.mixing and way.mixing()

    def augment(x: np.ndarray, y: np.ndarray) -> Samples:
        for layer in augmentation:
            x = keras.ops.convert_to_numpy(layer(x, training=True))
        if mixing is None:
            return x, y
        mixed = mixing({"images": x, "labels": y}, training=True)
        return keras.ops.convert_to_numpy(mixed["images"]), keras.ops.convert_to_numpy(mixed["labels"])

    targets = np.eye(trial.classes, dtype="float32")[labels]
    steps = trial.epochs * len(inputs) // 32
    train(model, (inputs, targets), steps=steps, seed=seed, augment=augment)
    return accuracy(model, trial.test)


def shift(factor: float) -> keras.Layer:
    return layers.RandomTranslation(factor, factor, fill_mode="nearest")


def turn() -> keras.Layer:
    return layers.RandomRotation(0.03, fill_mode="nearest")


def zoom() -> keras.Layer:
    return layers.RandomZoom(0.1, fill_mode="nearest")


IMAGES = {
    "none": Way(),
    "shift, turn, zoom": Way(lambda: (shift(0.1), turn(), zoom())),
    "shift, turn": Way(lambda: (shift(0.1), turn())),
    "mirror": Way(lambda: (layers.RandomFlip("horizontal"),)),
}
MIXED = {
    "MixUp 0.2": Way(mixing=lambda: layers.MixUp(alpha=0.2)),
    "label smoothing 0.1": Way(smoothing=0.1),
}


def bands(part: int, frequencies: int, times: int) -> Way:
    """Masks of up to a `part`-th of each axis."""
    return Way(
        lambda: (kn.SpecAugment(time_warp=0, frequency_mask=frequencies // part, time_mask=times // part),),
    )


def series(deviation: float) -> dict[str, Way]:
    """Ways for series of that standard deviation."""

    def noise() -> Layers:
        return kn.RandomScaling(0.1), kn.RandomJitter(0.05 * deviation)

    def moved() -> Layers:
        return (kn.RandomTimeShift(0.1, fill_mode="nearest"),)

    return {
        "none": Way(),
        "scaling, noise": Way(noise),
        "shift 0.1": Way(moved),
        "shift 0.1, scaling, noise": Way(lambda: (*noise(), *moved())),
    }


def digit_trials(options: argparse.Namespace) -> Iterator[Trial]:
    x, y = digits()
    for title, network, ways in (
        ("digits 8 x 8, 300, perceptron", perceptron, IMAGES),
        ("digits 8 x 8, 300, convolutions", convolutions, IMAGES | MIXED),
    ):
        yield Trial(title, (x[:300], y[:300]), (x[300:], y[300:]), 60, ways, network)


def mnist_trials(options: argparse.Namespace) -> Iterator[Trial]:
    import tensorflow_datasets as tfds

    taken = tfds.load("mnist", split="train[:4000]", data_dir=options.data_dir, batch_size=-1, as_supervised=True)
    images, y = tfds.as_numpy(taken)
    x = images.astype("float32") / 255
    yield Trial("MNIST, 500, perceptron", (x[:500], y[:500]), (x[500:], y[500:]), 40, IMAGES)


def spectrograms(waves: np.ndarray) -> np.ndarray:
    """Logarithmic magnitudes of 32 bands in 39 windows, standardized as a whole."""
    window, hop, count = 256, 200, 32
    starts = range(0, waves.shape[1] - window + 1, hop)
    windows = np.stack([waves[:, start : start + window] * np.hanning(window) for start in starts], axis=1)
    magnitudes = np.abs(np.fft.rfft(windows))[..., : window // 2]
    banded = np.log(magnitudes.reshape(*magnitudes.shape[:2], count, -1).mean(axis=-1) + 1e-3)
    return ((banded - banded.mean()) / banded.std()).astype("float32")


def speech_trials(options: argparse.Namespace) -> Iterator[Trial]:
    spoken = np.load(options.fsdd)
    x, y = spectrograms(spoken["x"].astype("float32") / 32768), spoken["y"].astype("int64")
    published = spoken["test"].astype(bool)
    unknown = spoken["speaker"] == np.unique(spoken["speaker"])[0]
    ways = {"none": Way(), **{f"bands of 1/{part}": bands(part, x.shape[2], x.shape[1]) for part in (8, 4)}}
    for title, test, every in (("known speakers", published, 9), ("an unknown speaker", unknown, 8)):
        chosen = np.flatnonzero(~test)[::every]
        yield Trial(f"FSDD, {len(chosen)}, {title}, perceptron", (x[chosen], y[chosen]), (x[test], y[test]), 40, ways)


def series_trials(name: str, samples: int) -> Callable[[argparse.Namespace], Iterator[Trial]]:
    def trials(options: argparse.Namespace) -> Iterator[Trial]:
        archive = np.load(Path(options.data_dir) / "npz" / f"ucr_{name}.npz")
        generator = np.random.default_rng(0)
        chosen = generator.permutation(len(archive["x_train"]))[:samples]
        tested = generator.permutation(len(archive["x_test"]))[:TESTED]
        x, y = archive["x_train"][chosen], archive["y_train"][chosen].astype("int64")
        test = archive["x_test"][tested], archive["y_test"][tested].astype("int64")
        yield Trial(f"{name}, {samples}, perceptron", (x, y), test, 40, series(float(x.std())))

    return trials


SETS: dict[str, Callable[[argparse.Namespace], Iterator[Trial]]] = {
    "digits": digit_trials,
    "mnist": mnist_trials,
    "fsdd": speech_trials,
    "ECG5000": series_trials("ECG5000", 500),
    "FordA": series_trials("FordA", 400),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--fsdd")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "augmentation.json")
    options = parser.parse_args()
    for name in options.sets:
        rows = [
            report(
                {"trial": trial.title, "way": way}, {"accuracy": [trained(trial, how, s) for s in range(options.seeds)]}
            )
            for trial in SETS[name](options)
            for way, how in trial.ways.items()
        ]
        update(options.output, {name: rows})


if __name__ == "__main__":
    main()
