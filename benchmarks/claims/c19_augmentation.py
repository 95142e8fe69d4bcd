"""C19: augmentation raises test accuracy on a small image set, and on a small audio set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from advisor.race.statistics import interval
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of
from benchmarks.claims.networks import pooled_convolutions
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
SHORT, LONG = 30, 60
"""Epochs: a network that sees no sample twice the same may need more of them."""


@dataclass(frozen=True)
class Small:
    """A small set, and ways to augment it; layers are made anew for each run."""

    data: str
    train: int
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
    "CIFAR-10": Small("cifar10", 600, IMAGES),
    "spoken digits": Small("spoken_digits", 400, SPECTROGRAMS),
}
SAME_SPEAKERS, NEW_SPEAKERS = "spoken digits, same speakers", "spoken digits, new speakers"


@cache
def trainable(shape: tuple[int, ...], steps: int) -> keras.Model:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    return compiled(pooled_convolutions(shape), loss, keras.optimizers.Adam(rate))


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
    beginning = pooled_convolutions(shape)
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
    chosen: dict[str, str] = {}
    figures: Figures = {}
    for epochs in (1,) if run.quick else (SHORT, LONG):
        for name, small in SETS.items():
            # What is the better way, the short runs tell.
            ways = [chosen[name]] if name in chosen else list(small.ways)
            runs = {
                way: [run.cell(trained, name=name, way=way, seed=seed, epochs=epochs) for seed in run.seeds]
                for way in (NONE, *ways)
            }
            best = max(ways, key=lambda way, runs=runs: np.mean([one["validation"] for one in runs[way]]))
            chosen[name] = best
            for title in runs[NONE][0]["test"]:
                accuracies = {way: [one["test"][title] for one in runs[way]] for way in (NONE, best)}
                figures[f"{title}, {epochs} epochs"] = {"chosen": best, "accuracy": accuracies}
    return figures


def differences(found: Figures) -> list[float]:
    """Points of test accuracy that the chosen way makes, for each seed."""
    ours, theirs = found["accuracy"][found["chosen"]], found["accuracy"][NONE]
    return [with_it - without for with_it, without in zip(ours, theirs, strict=True)]


def judge(figures: Figures) -> Judgement:
    verdict, holding = verdict_of({title: interval(differences(found)) for title, found in figures.items()})
    sentences = [
        f"{title}: {compared(found['chosen'], found['accuracy'][found['chosen']], NONE, found['accuracy'][NONE])}."
        for title, found in figures.items()
    ]
    when = f"it is {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else ""
    return Judgement(verdict, " ".join(sentences), when)


def draw(figures: Figures, figure: Figure) -> None:
    axes = figure.subplots()
    dots(axes, {f"{title}: {found['chosen']}": differences(found) for title, found in figures.items()})
    axes.axvline(0, color="black", linewidth=1)
    axes.set(xlabel="gain in test accuracy (points)")


CLAIM = Claim(
    code="C19",
    statement="Augmentation raises test accuracy on a small image set, and on a small audio set.",
    how="A network of three convolutions with batch normalization, Adam whose rate ends at 0, on 600 images of "
    "CIFAR-10 and 400 log-mel spectrograms of spoken digits, drawn anew for every seed. As many steps with "
    f"augmentation as without, in short runs ({SHORT} epochs) and long ones ({LONG}). Images are mirrored and shifted "
    "by up to a tenth; of two widths of SpecAugment, the better of the short runs on 400 validation samples is taken. "
    "Accuracy is on test images, on digits that the same speakers spoke, and on two speakers who do not train.",
    measure=measure,
    judge=judge,
    draw=draw,
)
