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
from benchmarks.claims.training import best_rate
from benchmarks.claims.wording import points
from benchmarks.datasets import Pair, Parts, parts
from benchmarks.short_runs import accuracy, train
from keras_normpack import LayerNormGRU

UNITS, BATCH, STEPS = 32, 32, 600
RATES = (2e-3, 5e-3, 1e-2)
SETS: Mapping[str, tuple[int, int]] = {"Crop": (23, 2), "ECG5000": (28, 5)}
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
    model = network(name, arm, classes)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, steps_per_execution=20, jit_compile=False)
    return model


def series(name: str, seed: int) -> Parts:
    """The series as steps of some values; those of ECG5000 come from its test part, as few were published to train."""
    drawn = parts(name, 3000, 500, 4000, seed)

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
