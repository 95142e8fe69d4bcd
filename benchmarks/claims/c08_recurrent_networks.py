"""C08: in a recurrent network, layer normalization beats batch normalization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import keras
from keras import layers
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of, with_interval
from benchmarks.claims.restarts import restarted
from benchmarks.claims.style import dots
from benchmarks.claims.training import at_best_rates, compiled_with_cosine
from benchmarks.claims.wording import points
from benchmarks.datasets import Pair, Parts, parts
from benchmarks.short_runs import accuracy, train
from keras_normpack import LayerNormGRU

LAYER_NORMS = ("LN", "LN within")
UNITS, BATCH, STEPS = 32, 32, 600
RATES = (5e-3, 1e-2, 2e-2, 4e-2)
SETS: Mapping[str, tuple[int, int]] = {"Crop": (23, 2), "ElectricDevices": (24, 4)}
"""Steps in time, and values of the series that are read in one."""


def plain(norm: Callable[[], keras.Layer] | None) -> list[keras.Layer]:
    """Two GRUs, with a normalization after each or none."""
    hidden = [layers.GRU(UNITS, return_sequences=True), layers.GRU(UNITS)]
    return hidden if norm is None else [layer for gru in hidden for layer in (gru, norm())]


def normalized_within() -> list[keras.Layer]:
    """Two GRUs that normalize in every step."""
    return [LayerNormGRU(UNITS, return_sequences=True), LayerNormGRU(UNITS)]


ARMS: Mapping[str, Callable[[], list[keras.Layer]]] = {
    "none": lambda: plain(None),
    "BN": lambda: plain(lambda: layers.BatchNormalization(momentum=0.9)),
    "LN": lambda: plain(layers.LayerNormalization),
    "LN within": normalized_within,
}


def network(name: str, arm: str, classes: int) -> keras.Model:
    return keras.Sequential([keras.Input(SETS[name]), *ARMS[arm](), layers.Dense(classes)])


@cache
def trainable(name: str, arm: str, classes: int, rate: float, steps: int) -> keras.Model:
    return compiled_with_cosine(network(name, arm, classes), rate, steps)


def series(name: str, seed: int) -> Parts:
    """The series as steps of some values."""
    drawn = parts(name, 3000, 1000, 4000, seed)

    def in_steps(pair: Pair) -> Pair:
        return pair[0].reshape(len(pair[0]), *SETS[name]), pair[1]

    return Parts(in_steps(drawn.train), in_steps(drawn.validation), in_steps(drawn.test), drawn.classes)


def trained(name: str, arm: str, rate: float, seed: int, steps: int) -> dict[str, float]:
    """Accuracies in percent."""
    drawn = series(name, seed)
    keras.utils.set_random_seed(seed)
    beginning = network(name, arm, drawn.classes)
    model = restarted(trainable(name, arm, drawn.classes, rate, steps), beginning)
    train(model, drawn.train, steps=steps, seed=seed, batch_size=BATCH)
    return {"validation": accuracy(model, drawn.validation), "test": accuracy(model, drawn.test)}


def measure(run: Run) -> Figures:
    steps, rates = (40, RATES[1:2]) if run.quick else (STEPS, RATES)
    return {name: at_best_rates(run, trained, ARMS, rates, name=name, steps=steps) for name in SETS}


def advantages(figures: Figures) -> dict[str, Interval]:
    """Points of accuracy that each form of LN has before BN."""
    return {
        f"{arm} on {name}": paired_difference(found["accuracy"][arm], found["accuracy"]["BN"])
        for name, found in figures.items()
        for arm in LAYER_NORMS
    }


def judge(figures: Figures) -> Judgement:
    found = advantages(figures)
    verdict, holding = verdict_of(found)
    sentences = []
    for name, one in figures.items():
        means = [f"{arm} {with_interval(interval(values), '%')}" for arm, values in one["accuracy"].items()]
        before = [f"{arm} {points(found[f'{arm} on {name}'])}" for arm in LAYER_NORMS]
        over = f"over {len(one['accuracy']['BN'])} seeds"
        sentences.append(f"{name}: {', '.join(means)}; against BN {listed(before)} {over}.")
    when = f"it is about {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else ""
    return Judgement(verdict, " ".join(sentences), when)


def draw(figures: Figures, figure: Figure) -> None:
    for axes, (name, found) in zip(figure.subplots(1, len(figures), sharey=True), figures.items(), strict=True):
        dots(axes, found["accuracy"])
        axes.set(title=name, xlabel="accuracy on test series (%)")


CLAIM = Claim(
    code="C08",
    statement="In a recurrent network LN beats BN.",
    how=f"Two GRUs of {UNITS} units on 3,000 series of Crop and ElectricDevices (UCR), drawn anew for every seed and "
    f"read in {SETS['Crop'][0]} and {SETS['ElectricDevices'][0]} steps, batches of {BATCH}, {STEPS} steps of Adam with "
    "cosine decay. BN and LN stand behind each GRU; LN within is `keras_normpack.LayerNormGRU`, which normalizes in "
    "every step, where BN has no counterpart in Keras. For each arm the best rate of "
    f"{listed([f'{rate:g}' for rate in RATES])} on 1,000 validation series with a seed of its own; accuracy on 4,000 "
    "test series. BN's averages have momentum 0.9, which fits the length of the runs.",
    measure=measure,
    judge=judge,
    draw=draw,
)
