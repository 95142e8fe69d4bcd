"""C21: transfer learning beats training from scratch on a small set."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, paired_difference
from advisor.rewrite import pretrained_backbone
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of
from benchmarks.claims.networks import pooled_convolutions
from benchmarks.claims.restarts import restarted
from benchmarks.claims.style import curves
from benchmarks.claims.training import best_rate
from benchmarks.claims.wording import compared
from benchmarks.datasets import Pair, data_folder, parts
from benchmarks.short_runs import accuracy
from benchmarks.transfer import few

SETS = {"CIFAR-10": "cifar10", "Fashion-MNIST": "fashion_mnist"}
EPOCHS = {5: 120, 30: 30}
"""By images of each class, as an epoch of fewer has fewer steps; training stops early."""
PATIENCE = 5
"""Parts of the epochs in one of which the loss must have fallen."""
SCRATCH, TRANSFER = "from scratch", "transfer"
RATES = {SCRATCH: (1e-3, 3e-3), TRANSFER: (1e-3, 1e-2)}
VALIDATION, TESTED, BATCH = 10, 500, 32


@cache
def backbone(shape: tuple[int, ...]) -> keras.Model:
    """MobileNetV2 with weights of ImageNet up to its pooled features, the images enlarged to 96 × 96 inside."""
    head = [layers.GlobalAveragePooling2D(), layers.Dense(10)]
    small = keras.Sequential([keras.Input(shape), layers.Conv2D(8, 3), *head])
    model = pretrained_backbone(
        small,
        "MobileNetV2",
        weights=str(data_folder() / "weights" / "mobilenet_v2_imagenet.weights.h5"),
        input_range=(0.0, 1.0),
        preprocess="torch",
    )
    return keras.Model(model.inputs, model.get_layer("pool").output)


def features(images: np.ndarray) -> np.ndarray:
    return backbone(images.shape[1:]).predict(images, batch_size=100, verbose=0)


@cache
def drawn(data: str, seed: int) -> tuple[Pair, Pair, Pair]:
    """As many as the largest size of each class to train on, then validation and test part."""
    everything = parts(data, 20_000, 0, TESTED)
    train = few(*everything.train, max(EPOCHS), VALIDATION, seed)
    return train, few(*everything.train, VALIDATION, 0, seed), everything.test


@cache
def test_features(data: str) -> np.ndarray:
    return features(drawn(data, 0)[2][0])


@cache
def drawn_features(data: str, seed: int) -> tuple[Pair, Pair, Pair]:
    train, validation, test = drawn(data, seed)
    return (features(train[0]), train[1]), (features(validation[0]), validation[1]), (test_features(data), test[1])


def first_of_each_class(pair: Pair, per_class: int) -> Pair:
    x, y = pair
    kept = np.concatenate([np.flatnonzero(y == label)[:per_class] for label in np.unique(y)])
    return x[kept], y[kept]


def small_network(shape: tuple[int, ...]) -> keras.Model:
    return pooled_convolutions(shape, layers.Dropout(0.2))


def new_head(shape: tuple[int, ...]) -> keras.Model:
    return keras.Sequential([keras.Input(shape), layers.Dropout(0.2), layers.Dense(10)])


NETWORKS = {SCRATCH: small_network, TRANSFER: new_head}


@cache
def trainable(arm: str, shape: tuple[int, ...]) -> keras.Model:
    model = NETWORKS[arm](shape)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss, steps_per_execution=3, jit_compile=False)
    return model


def trained(data: str, arm: str, per_class: int, rate: float, seed: int, epochs: int) -> dict[str, float]:
    """Accuracies in percent, of the epoch that is best on validation images."""
    everything, validation, test = drawn(data, seed) if arm == SCRATCH else drawn_features(data, seed)
    x, y = first_of_each_class(everything, per_class)
    keras.utils.set_random_seed(seed)
    beginning = NETWORKS[arm](x.shape[1:])
    model = restarted(trainable(arm, x.shape[1:]), beginning, rate)
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=epochs // PATIENCE, restore_best_weights=True)
    model.fit(x, y, validation_data=validation, epochs=epochs, batch_size=BATCH, callbacks=[stopping], verbose=0)
    return {"validation": accuracy(model, validation), "accuracy": accuracy(model, test)}


def measure(run: Run) -> Figures:
    epochs = {min(EPOCHS): 2} if run.quick else EPOCHS
    found: Figures = {}
    for title, data in SETS.items():
        found[title] = {arm: {} for arm in RATES}
        for arm, rates in RATES.items():
            largest = max(epochs)
            settings = {"data": data, "arm": arm}
            rate = best_rate(run, trained, rates, per_class=largest, epochs=epochs[largest], **settings)
            for per_class in epochs:
                settings = {"data": data, "arm": arm, "per_class": per_class, "epochs": epochs[per_class]}
                runs = [run.cell(trained, rate=rate, seed=seed, **settings) for seed in run.seeds]
                found[title][arm][str(per_class)] = [one["accuracy"] for one in runs]
    return found


def gains(figures: Figures) -> dict[str, Interval]:
    """Points that transfer makes, by set and number of images."""
    return {
        f"{per_class} images a class of {title}": paired_difference(arms[TRANSFER][per_class], arms[SCRATCH][per_class])
        for title, arms in figures.items()
        for per_class in arms[SCRATCH]
    }


def judge(figures: Figures) -> Judgement:
    verdict, holding = verdict_of(gains(figures))
    sentences = [
        f"{title}, {per_class} images a class: "
        f"{compared(TRANSFER, arms[TRANSFER][per_class], SCRATCH, arms[SCRATCH][per_class])}."
        for title, arms in figures.items()
        for per_class in arms[SCRATCH]
    ]
    when = f"there are {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else ""
    return Judgement(verdict, " ".join(sentences), when)


def draw(figures: Figures, figure: Figure) -> None:
    for axes, (title, arms) in zip(figure.subplots(1, len(figures), sharey=True), figures.items(), strict=True):
        sizes = [int(per_class) for per_class in arms[SCRATCH]]
        curves(axes, sizes, {arm: list(zip(*by_size.values(), strict=True)) for arm, by_size in arms.items()})
        axes.set(xscale="log", title=title, xlabel="training images of each class", ylim=(0, 100))
        axes.set_xticks(sizes, [str(size) for size in sizes], minor=False)
        axes.set_xticks([], minor=True)
    figure.axes[0].set_ylabel("test accuracy (%)")
    figure.axes[0].legend()


CLAIM = Claim(
    code="C21",
    statement="Transfer learning beats training from scratch on a small set.",
    how=f"{listed([str(size) for size in EPOCHS])} images of each of ten classes of CIFAR-10, whose classes ImageNet "
    "has too, and of Fashion-MNIST, whose grey images are unlike it; drawn anew for every seed. Transfer trains a "
    "linear head on the frozen MobileNetV2 of ImageNet, which sees the images at 96 × 96; from scratch is a network of "
    "three convolutions with batch normalization, which sees them as they are. Both have dropout of 0.2, the better of "
    f"two rates of Adam, tried with {max(EPOCHS)} images a class of a seed of its own, and stop early by the loss on "
    f"{VALIDATION} validation images a class, after at most {listed([str(most) for most in EPOCHS.values()])} epochs; "
    f"accuracy is on {TESTED:,} test images.",
    measure=measure,
    judge=judge,
    draw=draw,
)
