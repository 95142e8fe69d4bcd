"""C12: the two ends of group normalization."""

from __future__ import annotations

import keras
import numpy as np
from matplotlib.figure import Figure

from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.style import ACCENT, TOGETHER
from benchmarks.datasets import parts

CHANNELS = 16
GROUPS = (1, 2, 4, 8, CHANNELS)
ROUNDING = 1e-4
MATTERS = 0.1


def measure(run: Run) -> Figures:
    """Distance of group normalization from both ends, on what a convolution makes of photographs."""
    images = parts("cifar10", 64, 0, 0).train[0]
    keras.utils.set_random_seed(0)
    x = np.asarray(keras.layers.Conv2D(CHANNELS, 3)(images))
    by_channel, whole = (_normalized(x, axes) for axes in ((1, 2), (1, 2, 3)))
    outputs = {groups: np.asarray(keras.layers.GroupNormalization(groups)(x)) for groups in GROUPS}
    return {
        "groups": list(GROUPS),
        "instance": [_distance(output, by_channel) for output in outputs.values()],
        "whole": [_distance(output, whole) for output in outputs.values()],
    }


def _normalized(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The formula, with one mean and one variance over the axes."""
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-3)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))


def judge(figures: Figures) -> Judgement:
    instance, whole = figures["instance"], figures["whole"]
    equal = instance[-1] < ROUNDING and whole[0] < ROUNDING
    apart = min(*instance[:-1], *whole[1:]) > MATTERS
    result = (
        f"The outputs, of deviation 1, differ by {instance[-1]:.0e} from instance normalization with G = {CHANNELS},"
        f" and by {whole[0]:.0e} from the whole sample's mean and variance with G = 1; with other numbers of groups by"
        f" {min(*instance[:-1], *whole[1:]):.2f} and more."
    )
    return Judgement(Verdict.HOLDS if equal and apart else Verdict.FAILS, result)


def draw(figures: Figures, figure: Figure) -> None:
    axes = figure.subplots()
    places = range(len(figures["groups"]))
    axes.plot(places, figures["instance"], "o-", color=TOGETHER, label="from instance normalization")
    axes.plot(places, figures["whole"], "o-", color=ACCENT, label="from the whole sample's mean and variance")
    axes.set_xticks(places, [str(groups) for groups in figures["groups"]])
    axes.set_xlabel(f"groups of {CHANNELS} channels")
    axes.set_ylabel("difference of outputs\n(root mean square, deviations)")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.15), ncols=2)


CLAIM = Claim(
    code="C12",
    statement="Group normalization with as many groups as channels is instance normalization, and with one group it"
    " normalizes the whole sample.",
    how=f"What a convolution of {CHANNELS} channels makes of 64 images of CIFAR-10, through"
    " `keras.layers.GroupNormalization`, beside the formulas: one mean and one variance per image and channel, and per"
    " image. Root mean square of the difference of the outputs.",
    measure=measure,
    judge=judge,
    draw=draw,
    trains=False,
)
