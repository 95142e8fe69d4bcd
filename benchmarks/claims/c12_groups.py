"""C12: the two ends of group normalization."""

from __future__ import annotations

import keras
import numpy as np
from matplotlib.figure import Figure

import keras_normpack
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.style import ACCENT, QUIET, TOGETHER
from benchmarks.datasets import parts

CHANNELS, EPSILON = 16, 1e-3
GROUPS = (1, 2, 4, 8, CHANNELS)
EQUAL = {"float64": 1e-12, "float32": 1e-4}
"""Differences of outputs of deviation 1 that rounding explains."""
APART = 0.01
LIBRARIES = {"Keras": keras.layers.GroupNormalization, "keras_normpack": keras_normpack.GroupNormalization}
CHANNEL, SAMPLE = "instance normalization", "the whole sample"
AXES = {CHANNEL: (1, 2), SAMPLE: (1, 2, 3)}


def by_hand(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The formula in float64, with mean and variance over the axes."""
    wide = x.astype("float64")
    return (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + EPSILON)


def measure(run: Run) -> Figures:
    """Largest difference of group normalization from both ends, on what a convolution makes of photographs."""
    images = parts("cifar10", 64, 0, 0).train[0]
    keras.utils.set_random_seed(0)
    features = np.asarray(keras.layers.Conv2D(CHANNELS, 3)(images))
    ends = {end: by_hand(features, axes) for end, axes in AXES.items()}
    figures: Figures = {"groups": list(GROUPS), "differences": {}, "instance layer": {}}
    for precision in EQUAL:
        x = features.astype(precision)
        figures["differences"][precision] = {
            library: _differences([layer(groups, epsilon=EPSILON, dtype=precision) for groups in GROUPS], x, ends)
            for library, layer in LIBRARIES.items()
        }
        instance = keras_normpack.InstanceNormalization(epsilon=EPSILON, dtype=precision)
        figures["instance layer"][precision] = _largest(instance(x), ends[CHANNEL])
    return figures


def _differences(layers: list[keras.Layer], x: np.ndarray, ends: dict[str, np.ndarray]) -> dict[str, list[float]]:
    outputs = [layer(x) for layer in layers]
    return {end: [_largest(output, expected) for output in outputs] for end, expected in ends.items()}


def _largest(output: object, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(output, dtype="float64") - expected).max())


def at_the_ends(figures: Figures, precision: str) -> list[float]:
    """Largest differences where the claim says there is none: G = channels from IN, G = 1 from the whole sample."""
    differences = figures["differences"][precision].values()
    ends = [value for found in differences for value in (found[CHANNEL][-1], found[SAMPLE][0])]
    return [*ends, figures["instance layer"][precision]]


def elsewhere(figures: Figures) -> float:
    """The smallest of the differences with other numbers of groups, which show that the measure tells them apart."""
    return min(
        value
        for found in figures["differences"]["float64"].values()
        for value in (*found[CHANNEL][:-1], *found[SAMPLE][1:])
    )


def judge(figures: Figures) -> Judgement:
    worst = {precision: max(at_the_ends(figures, precision)) for precision in EQUAL}
    equal = all(worst[precision] < limit for precision, limit in EQUAL.items())
    apart = elsewhere(figures) > APART
    result = (
        f"Of outputs of about deviation 1, the largest difference from instance normalization with G = {CHANNELS}, and "
        f"from the whole sample's mean and variance with G = 1, is {worst['float64']:.0e} in float64 and "
        f"{worst['float32']:.0e} in float32, in {' and '.join(LIBRARIES)} alike; with other numbers of groups it is "
        f"{elsewhere(figures):.1f} or more."
    )
    if not equal:
        return Judgement(Verdict.FAILS, result)
    return Judgement(Verdict.HOLDS if apart else Verdict.UNDECIDED, result)


def draw(figures: Figures, figure: Figure) -> None:
    axes = figure.subplots()
    places = range(len(figures["groups"]))
    for end, shade in ((CHANNEL, TOGETHER), (SAMPLE, ACCENT)):
        for precision, style in (("float32", "o--"), ("float64", "o-")):
            # Rounding alone is left at the ends, and may be none at all.
            values = np.maximum(figures["differences"][precision]["Keras"][end], 1e-17)
            axes.plot(places, values, style, color=shade, markersize=4, label=f"from {end}, {precision}")
    axes.axhline(float(np.finfo("float32").eps), color=QUIET, linewidth=0.8, linestyle=":")
    axes.axhline(float(np.finfo("float64").eps), color=QUIET, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_xticks(places, [str(groups) for groups in figures["groups"]])
    axes.set(
        xlabel=f"groups of {CHANNELS} channels (G)", ylabel="largest difference of outputs\n(dotted: machine epsilon)"
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="GN differs", alignment="left")


CLAIM = Claim(
    code="C12",
    statement="Group normalization with as many groups as channels is instance normalization, and with one group it "
    "normalizes the whole sample.",
    how=f"What a convolution of {CHANNELS} channels makes of 64 images of CIFAR-10, through "
    "`keras.layers.GroupNormalization` and `keras_normpack.GroupNormalization`, in float64 and in float32, with an "
    f"epsilon of {EPSILON:g}; beside it the formula in float64 with a mean and variance for every channel of an image, "
    "which is instance normalization (`keras_normpack.InstanceNormalization` is held against it, too), and with one "
    "mean and variance for the whole image.",
    measure=measure,
    judge=judge,
    draw=draw,
    trains=False,
)
