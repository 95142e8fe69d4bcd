"""C19: augmentation raises test accuracy on a small image set, and on a small audio set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of
from benchmarks.claims.restarts import restarted
from benchmarks.claims.standardizing import standardized
from benchmarks.claims.style import dots
from benchmarks.claims.wording import compared
from benchmarks.datasets import Pair, parts
from benchmarks.short_runs import accuracy, compiled, train
from keras_normpack import SpecAugment

Layers = Sequence[keras.Layer]
NONE = "none"
RATE, BATCH = 2e-3, 32


@dataclass(frozen=True)
class Small:
    """A small set, for how many epochs it is trained on, and ways to augment it; layers are made anew for each run."""

    data: str
    train: int
    epochs: int
    ways: Mapping[str, Callable[[], Layers]]


def moved(factor: float) -> keras.Layer:
    return layers.RandomTranslation(factor, factor, fill_mode="reflect")


def mirrored() -> keras.Layer:
    return layers.RandomFlip("horizontal")


IMAGES: Mapping[str, Callable[[], Layers]] = {
    "mirror, shift": lambda: (mirrored(), moved(0.1)),
}
SPECTROGRAMS: Mapping[str, Callable[[], Layers]] = {
    "SpecAugment 4": lambda: (SpecAugment(time_warp=0, frequency_mask=4, time_mask=6),),
    "SpecAugment 8": lambda: (SpecAugment(time_warp=0, frequency_mask=8, time_mask=12),),
}
SETS: Mapping[str, Small] = {
    "CIFAR-10": Small("cifar10", 600, 30, IMAGES),
    "spoken digits": Small("spoken_digits", 400, 30, SPECTROGRAMS),
}
SAME_SPEAKERS, NEW_SPEAKERS = "spoken digits, same speakers", "spoken digits, new speakers"


def network(shape: tuple[int, ...]) -> keras.Model:
    model = keras.Sequential([keras.Input(shape)])
    for filters in (16, 32, 64):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    return model


@cache
def trainable(shape: tuple[int, ...], steps: int) -> keras.Model:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    return compiled(network(shape), loss, keras.optimizers.Adam(rate))


def _with_channels(pair: Pair) -> Pair:
    """Spectrograms as images of one channel."""
    return (pair[0] if pair[0].ndim == 4 else pair[0][..., None]), pair[1]


def trained(name: str, way: str, seed: int, epochs: int) -> Figures:
    """Accuracies in percent, on validation samples and on each test part."""
    small = SETS[name]
    drawn = standardized(parts(small.data, small.train, 800, 2000, seed))
    training, held, test = (_with_channels(pair) for pair in (drawn.train, drawn.validation, drawn.test))
    shape, steps = training[0].shape[1:], epochs * small.train // BATCH
    keras.utils.set_random_seed(seed)
    beginning = network(shape)
    model = restarted(trainable(shape, steps), beginning)
    augmentation = () if way == NONE else small.ways[way]()

    def augment(x: np.ndarray, y: np.ndarray) -> Pair:
        for layer in augmentation:
            x = keras.ops.convert_to_numpy(layer(x, training=True))
        return x, y

    train(model, training, steps=steps, seed=seed, batch_size=BATCH, augment=augment)
    # Speakers of the test part do not train; those of what is held back beside the validation samples do.
    validation, same = ((held[0][half::2], held[1][half::2]) for half in (0, 1))
    tests = {SAME_SPEAKERS: same, NEW_SPEAKERS: test} if name == "spoken digits" else {name: test}
    return {
        "validation": accuracy(model, validation),
        "test": {title: accuracy(model, pair) for title, pair in tests.items()},
    }


def measure(run: Run) -> Figures:
    figures: Figures = {}
    for name, small in SETS.items():
        epochs = 1 if run.quick else small.epochs
        runs = {
            way: [run.cell(trained, name=name, way=way, seed=seed, epochs=epochs) for seed in run.seeds]
            for way in (NONE, *small.ways)
        }
        best = max(small.ways, key=lambda way, runs=runs: np.mean([one["validation"] for one in runs[way]]))
        for title in runs[NONE][0]["test"]:
            accuracies = {way: [one["test"][title] for one in runs[way]] for way in runs}
            figures[title] = {"chosen": best, "accuracy": accuracies}
    return figures


def gains(figures: Figures) -> dict[str, Interval]:
    """Points of test accuracy that the chosen way makes."""
    return {
        title: paired_difference(found["accuracy"][found["chosen"]], found["accuracy"][NONE])
        for title, found in figures.items()
    }


def judge(figures: Figures) -> Judgement:
    verdict, holding = verdict_of(gains(figures))
    sentences = [
        f"{title}: {compared(found['chosen'], found['accuracy'][found['chosen']], NONE, found['accuracy'][NONE])}."
        for title, found in figures.items()
    ]
    when = f"the set is {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else ""
    return Judgement(verdict, " ".join(sentences), when)


def draw(figures: Figures, figure: Figure) -> None:
    axes = figure.subplots()
    rows = {
        f"{title}: {way}": found["accuracy"][way] for title, found in figures.items() for way in (NONE, found["chosen"])
    }
    dots(axes, rows)
    axes.set(xlabel="test accuracy (%)")


CLAIM = Claim(
    code="C19",
    statement="Augmentation raises test accuracy on a small image set, and on a small audio set.",
    how="A network of three convolutions with batch normalization, Adam whose rate ends at 0, on 600 images of "
    "CIFAR-10 and 400 log-mel spectrograms of spoken digits, drawn anew for every seed, 30 "
    "epochs; as many steps with augmentation as without. Images are mirrored and shifted by up to a tenth; of two "
    "widths of SpecAugment, the better on 400 validation samples is tested. Accuracy is on test images, on digits that "
    "the same speakers spoke, and on two speakers who do not train.",
    measure=measure,
    judge=judge,
    draw=draw,
)
