"""C16: dropout helps dense heads and deep convolutional networks, and recurrent networks less."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of, with_interval
from benchmarks.claims.restarts import restarted
from benchmarks.claims.style import dots
from benchmarks.claims.wording import points
from benchmarks.datasets import parts
from benchmarks.short_runs import accuracy

RATES = (0.2, 0.5)
EPOCHS, BATCH = 20, 32


def dense(rate: float) -> list[keras.Layer]:
    hidden = [layer for _ in range(3) for layer in (layers.Dense(256, activation="relu"), layers.Dropout(rate))]
    return [layers.Flatten(), *hidden]


def convolutional(rate: float) -> list[keras.Layer]:
    """Six convolutions and a dense head."""
    stages: list[keras.Layer] = []
    for filters in (12, 24, 48):
        for strides in (1, 2):
            convolution = layers.Conv2D(
                filters, 3, strides, padding="same", activation="relu", kernel_initializer="he_normal"
            )
            stages.append(convolution)
        stages.append(layers.Dropout(rate))
    return [*stages, layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(rate)]


def recurrent(rate: float) -> list[keras.Layer]:
    """Two rows of the image are a step; dropout after the layer, as in the other networks."""
    return [layers.Reshape((14, 56)), layers.GRU(64), layers.Dropout(rate)]


NETWORKS: Mapping[str, tuple[Callable[[float], list[keras.Layer]], float]] = {
    "dense": (dense, 1e-3),
    "CNN": (convolutional, 1e-3),
    "GRU": (recurrent, 5e-3),
}
"""Hidden layers by the rate of dropout, and the learning rate of Adam."""


def classifier(network: str, rate: float) -> keras.Model:
    return keras.Sequential([keras.Input((28, 28, 1)), *NETWORKS[network][0](rate), layers.Dense(10)])


@cache
def trainable(network: str, rate: float) -> keras.Model:
    model = classifier(network, rate)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss, metrics=["accuracy"], steps_per_execution=8, jit_compile=False)
    return model


def trained(network: str, rate: float, seed: int, epochs: int) -> dict[str, float]:
    """Accuracies in percent of the epoch that is best on validation images."""
    drawn = parts("fashion_mnist", 600, 500, 2000, seed)
    keras.utils.set_random_seed(seed)
    beginning = classifier(network, rate)
    model = restarted(trainable(network, rate), beginning, NETWORKS[network][1])
    best = keras.callbacks.EarlyStopping("val_accuracy", mode="max", patience=epochs, restore_best_weights=True)
    history = model.fit(
        *drawn.train,
        validation_data=drawn.validation,
        validation_batch_size=500,
        epochs=epochs,
        batch_size=BATCH,
        callbacks=[best],
        verbose=0,
    ).history
    return {
        "training": round(100 * history["accuracy"][-1], 2),
        "validation": round(100 * max(history["val_accuracy"]), 2),
        "test": accuracy(model, drawn.test),
    }


def measure(run: Run) -> Figures:
    epochs = 2 if run.quick else EPOCHS
    figures: Figures = {}
    for network in NETWORKS:
        without = [run.cell(trained, network=network, rate=0.0, seed=seed, epochs=epochs) for seed in run.seeds]
        tried = {
            rate: [run.cell(trained, network=network, rate=rate, seed=seed, epochs=epochs) for seed in run.seeds]
            for rate in RATES
        }
        best = max(tried, key=lambda rate, tried=tried: np.mean([one["validation"] for one in tried[rate]]))
        figures[network] = {
            "rate": best,
            "without": [one["test"] for one in without],
            "with": [one["test"] for one in tried[best]],
            "learned": [one["training"] for one in without],
        }
    return figures


def spared(found: Figures) -> list[float]:
    """Share of the errors that dropout spares, in percent, for each seed."""
    return [100 * (1 - (100 - ours) / (100 - bare)) for ours, bare in zip(found["with"], found["without"], strict=True)]


def statements(figures: Figures) -> dict[str, Interval]:
    """What the claim comes to, with the differences that must be above 0 for it."""
    shares = {network: spared(found) for network, found in figures.items()}
    return {
        "it helps dense networks": interval(shares["dense"]),
        "it helps CNNs": interval(shares["CNN"]),
        "it helps the GRU less than dense networks": paired_difference(shares["dense"], shares["GRU"]),
        "it helps the GRU less than CNNs": paired_difference(shares["CNN"], shares["GRU"]),
    }


def judge(figures: Figures) -> Judgement:
    verdict, holding = verdict_of(statements(figures))
    when = f"it says no more than that {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else ""
    sentences = [
        f"{network[0].upper()}{network[1:]}, rate {found['rate']:g}: {np.mean(found['without']):.1f} % without and "
        f"{np.mean(found['with']):.1f} % with, {points(paired_difference(found['with'], found['without']))}, "
        f"{with_interval(interval(spared(found)), '%', 0)} of the errors spared."
        for network, found in figures.items()
    ]
    against = [
        with_interval(one, digits=0, signed=True)
        for statement, one in statements(figures).items()
        if "less" in statement
    ]
    return Judgement(
        verdict,
        f"{' '.join(sentences)} Against the GRU, the share spared is larger by {against[0]} points in the dense "
        f"network and by {against[1]} points in the CNN.",
        when,
    )


def draw(figures: Figures, figure: Figure) -> None:
    axes = figure.subplots()
    dots(axes, {f"{network}, rate {found['rate']:g}": spared(found) for network, found in figures.items()})
    axes.axvline(0, color="black", linewidth=1)
    axes.set(xlabel="errors on test images that dropout spares (%)")


CLAIM = Claim(
    code="C16",
    statement="Dropout helps dense heads and deep CNNs and helps RNNs less.",
    how="On the same 600 images of Fashion-MNIST, drawn anew for every seed: three dense layers of 256, six "
    "convolutions with a dense head, and a GRU of 64 units that reads two rows a step, each with dropout after its "
    f"layers or without (in the CNN after each pair of convolutions and in the head). {EPOCHS} epochs of Adam, at "
    "0.001 and 0.005 (GRU), of which the best on 500 validation images is kept. The rate of dropout, "
    f"{RATES[0]:g} or {RATES[1]:g}, is the better on validation images; compared is the share of the errors on 2,000 "
    "test images that dropout spares.",
    measure=measure,
    judge=judge,
    draw=draw,
)
