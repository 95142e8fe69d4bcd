"""C05: batch normalization makes training less sensitive to the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import keras
import numpy as np
from matplotlib.figure import Figure

from advisor.race.statistics import interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run
from benchmarks.claims.conditions import verdict_of, with_interval
from benchmarks.claims.loss_curves import compiled, loss_curve
from benchmarks.claims.networks import Norm, fast_batch_norm, plain_convolutions
from benchmarks.claims.restarts import restarted
from benchmarks.claims.style import curves
from benchmarks.datasets import parts
from benchmarks.short_runs import accuracy

ARMS: Mapping[str, Norm | None] = {"BN": fast_batch_norm, "none": None}
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
STEPS, NEAR = 200, 10


@cache
def trainable(arm: str) -> keras.Model:
    return compiled(plain_convolutions(ARMS[arm], per_stage=2), keras.optimizers.SGD(momentum=0.9))


def trained(arm: str, rate: float, seed: int, steps: int) -> float:
    """Test accuracy in percent."""
    samples = parts("fashion_mnist", 4000, 1000, 2000, seed)
    keras.utils.set_random_seed(seed)
    beginning = plain_convolutions(ARMS[arm], per_stage=2)
    model = restarted(trainable(arm), beginning, rate)
    loss_curve(model, samples.train, steps=steps, seed=seed)
    return accuracy(model, samples.test)


def measure(run: Run) -> Figures:
    steps, rates = (40, RATES[1::3]) if run.quick else (STEPS, RATES)
    accuracies = {
        arm: [[run.cell(trained, arm=arm, rate=rate, seed=seed, steps=steps) for rate in rates] for seed in run.seeds]
        for arm in ARMS
    }
    return {"rates": list(rates), "accuracy": accuracies}


def decades_near_the_best(rates: list[float], accuracies: list[float]) -> float:
    """Decades of the learning rate over which accuracy stays near its best; straight lines between the rates."""
    exponents = np.linspace(np.log10(rates[0]), np.log10(rates[-1]), 2001)
    between = np.interp(exponents, np.log10(rates), accuracies)
    return float(np.mean(between >= max(accuracies) - NEAR) * (exponents[-1] - exponents[0]))


def judge(figures: Figures) -> Judgement:
    widths = {
        arm: [decades_near_the_best(figures["rates"], one) for one in seeds]
        for arm, seeds in figures["accuracy"].items()
    }
    wider = paired_difference(widths["BN"], widths["none"])
    best = {arm: interval([max(one) for one in seeds]) for arm, seeds in figures["accuracy"].items()}
    return Judgement(
        verdict_of({"": wider})[0],
        f"Accuracy stays within {NEAR} points of the arm's own best over {with_interval(interval(widths['BN']))} "
        f"decades of the learning rate with BN and {with_interval(interval(widths['none']))} without, "
        f"{with_interval(wider, 'decades', signed=True)} over {len(widths['BN'])} seeds. At the best rate of each: "
        f"{with_interval(best['BN'], '%')} and {with_interval(best['none'], '%')}.",
    )


def draw(figures: Figures, figure: Figure) -> None:
    axes = figure.subplots()
    curves(axes, figures["rates"], figures["accuracy"])
    axes.set(xscale="log", xlabel="learning rate of SGD with momentum 0.9", ylabel="test accuracy (%)", ylim=(0, 100))
    axes.legend()


CLAIM = Claim(
    code="C05",
    statement="Batch normalization makes training less sensitive to the learning rate.",
    how="A plain network of 6 convolutions on 4,000 images of Fashion-MNIST, drawn anew for every seed, batches of 32, "
    f"{STEPS} steps of SGD with momentum 0.9 at eight rates from {RATES[0]:g} to {RATES[-1]:g}; accuracy on 2,000 test "
    f"images. Compared is the width, on a logarithmic scale, of the rates whose accuracy is within {NEAR} points of "
    "the best that the same arm and seed reach at any rate.",
    measure=measure,
    judge=judge,
    draw=draw,
)
