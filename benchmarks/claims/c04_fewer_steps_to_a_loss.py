"""C04: batch normalization reaches a training loss in fewer steps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import keras
import numpy as np
from matplotlib.figure import Figure

from advisor.race.statistics import interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of, with_interval
from benchmarks.claims.loss_curves import STEPS_A_POINT, compiled, loss_curve
from benchmarks.claims.networks import Norm, fast_batch_norm, plain_convolutions
from benchmarks.claims.restarts import restarted
from benchmarks.claims.style import colour
from benchmarks.claims.training import TUNING_SEED
from benchmarks.datasets import parts

PER_STAGE = {"3 convolutions": 1, "9 convolutions": 3}
ARMS: Mapping[str, Norm | None] = {"BN": fast_batch_norm, "none": None}
RATES = (0.01, 0.03, 0.1, 0.3)
STEPS, TARGET = 300, 0.8
WINDOW = 3
"""Points of the curve whose mean must reach the target, so that one lucky batch does not."""


@cache
def trainable(arm: str, depth: str) -> keras.Model:
    return compiled(plain_convolutions(ARMS[arm], PER_STAGE[depth]), keras.optimizers.SGD(momentum=0.9))


def curve(depth: str, arm: str, rate: float, seed: int, steps: int) -> list[float]:
    """Training losses."""
    samples = parts("fashion_mnist", 4000, 1000, 1000, seed).train
    keras.utils.set_random_seed(seed)
    beginning = plain_convolutions(ARMS[arm], PER_STAGE[depth])
    model = restarted(trainable(arm, depth), beginning, rate)
    return loss_curve(model, samples, steps=steps, seed=seed)


def measure(run: Run) -> Figures:
    steps, rates = (60, RATES[1:2]) if run.quick else (STEPS, RATES)
    figures: Figures = {}
    for depth in PER_STAGE:
        figures[depth] = {}
        for arm in ARMS:
            tried = {
                rate: run.cell(curve, depth=depth, arm=arm, rate=rate, seed=TUNING_SEED, steps=steps) for rate in rates
            }
            # Of rates that are as soon there, the one that is lower in the end.
            best = min(tried, key=lambda rate, tried=tried: (steps_to(tried[rate], TARGET), tried[rate][-1]))
            found = [run.cell(curve, depth=depth, arm=arm, rate=best, seed=seed, steps=steps) for seed in run.seeds]
            figures[depth][arm] = {"rate": best, "curves": found}
    return figures


def smooth(losses: list[float]) -> list[float]:
    """Means of as many points as must reach the target."""
    return list(np.convolve(losses, np.ones(WINDOW) / WINDOW, "valid"))


def steps_to(losses: list[float], target: float) -> int:
    """Steps until the smoothed loss is at the target; one point more than there are where it never is."""
    reached = np.flatnonzero(np.array(smooth(losses)) <= target)
    points = reached[0] + WINDOW if len(reached) else len(losses) + 1
    return int(points) * STEPS_A_POINT


def judge(figures: Figures) -> Judgement:
    steps = {
        depth: {arm: [steps_to(one, TARGET) for one in found["curves"]] for arm, found in arms.items()}
        for depth, arms in figures.items()
    }
    saved = {depth: paired_difference(arms["none"], arms["BN"]) for depth, arms in steps.items()}
    verdict, holding = verdict_of(saved)
    sentences = [
        f"{depth}: a loss of {TARGET} after {with_interval(interval(arms['BN']), digits=0)} steps with BN and "
        f"{with_interval(interval(arms['none']), digits=0)} without, "
        f"{with_interval(saved[depth], 'steps saved', 0, signed=True)} over {len(arms['BN'])} seeds."
        for depth, arms in steps.items()
    ]
    when = f"the network has {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else ""
    return Judgement(verdict, " ".join(sentences), when)


def draw(figures: Figures, figure: Figure) -> None:
    for axes, (depth, arms) in zip(figure.subplots(1, len(figures), sharey=True), figures.items(), strict=True):
        for arm, found in arms.items():
            lines = np.array([smooth(one) for one in found["curves"]]).T
            steps = (np.arange(len(lines)) + WINDOW) * STEPS_A_POINT
            drawn = axes.plot(steps, lines, color=colour(arm), linewidth=1.2, alpha=0.8)
            drawn[0].set_label(arm)
        axes.axhline(TARGET, color="black", linestyle=":", linewidth=1)
        rates = " and ".join(f"{found['rate']:g} ({arm})" for arm, found in arms.items())
        axes.set(title=f"{depth}, rates {rates}", xlabel="training steps", ylim=(0.3, 2.4))
    figure.axes[0].set_ylabel("training loss (cross-entropy)")
    figure.axes[0].legend()


CLAIM = Claim(
    code="C04",
    statement="Batch normalization reaches a given training loss in fewer steps than no normalization.",
    how="Plain convolutional networks on 4,000 images of Fashion-MNIST, drawn anew for every seed, batches of 32, SGD "
    f"with momentum 0.9, {STEPS} steps. Every arm has the learning rate, of {listed([f'{rate:g}' for rate in RATES])}, "
    f"that is first at a loss of {TARGET} with a seed of its own. Counted are steps, not seconds; the loss is the mean "
    f"of {WINDOW * STEPS_A_POINT} steps in training mode, and a run that never gets there counts as {STEPS + 10}.",
    measure=measure,
    judge=judge,
    draw=draw,
)
