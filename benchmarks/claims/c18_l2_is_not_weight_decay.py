"""C18: L2 with Adam is not the same as decoupled weight decay."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from advisor.race.statistics import interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run
from benchmarks.claims.conditions import verdict_of, with_interval
from benchmarks.claims.loss_curves import compiled, loss_curve
from benchmarks.claims.restarts import restarted
from benchmarks.claims.style import dots
from benchmarks.claims.training import TUNING_SEED
from benchmarks.datasets import Parts, parts
from benchmarks.short_runs import accuracy

PENALTY, DECAY, NONE = "L2", "decay", "none"
SHARE = 0.02
"""Of the learning rate, by which both would shrink a weight at each step; the gradient of L2 f is 2 f w."""
APART = 0.1
"""Of the ways that both lead together, beyond which two ends are not the same."""
RATES = {"SGD": 0.05, "Adam": 0.001}
COMPARED_STEPS, STEPS = 200, 600
STRENGTHS = {NONE: (0.0,), PENALTY: (3e-4, 3e-3, 3e-2), DECAY: (0.03, 0.3, 3.0)}
"""As shares of the learning rate; the L2 factor is half of it."""
MISLABELLED = 0.2


def samples(seed: int) -> Parts:
    """Few images, a fifth of whose labels are drawn at random, so that there is something to overfit."""
    drawn = parts("fashion_mnist", 1000, 1000, 2000, seed)
    generator = np.random.default_rng(seed)
    labels = drawn.train[1]
    noisy = np.where(generator.random(len(labels)) < MISLABELLED, generator.integers(0, 10, len(labels)), labels)
    return Parts((drawn.train[0], noisy), drawn.validation, drawn.test, drawn.classes)


def perceptron(share: float) -> keras.Model:
    penalty = keras.regularizers.L2(share / 2) if share else None
    hidden = [layers.Dense(128, activation="relu", kernel_regularizer=penalty) for _ in range(2)]
    return keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), *hidden, layers.Dense(10, kernel_regularizer=penalty)]
    )


def _decaying(name: str, share: float) -> keras.optimizers.Optimizer:
    """With decoupled decay of that share of the learning rate, of kernels alone as L2 is."""
    decay = share or None
    made = (
        keras.optimizers.Adam(RATES[name], weight_decay=decay)
        if name == "Adam"
        else keras.optimizers.SGD(RATES[name], weight_decay=decay)
    )
    if decay:
        made.exclude_from_weight_decay(var_names=["bias"])
    return made


@cache
def trainable(optimizer: str, way: str, share: float) -> keras.Model:
    network = perceptron(share if way == PENALTY else 0.0)
    return compiled(network, _decaying(optimizer, share if way == DECAY else 0.0))


def trained(optimizer: str, way: str, share: float, seed: int, steps: int, drawn: Parts) -> keras.Model:
    keras.utils.set_random_seed(seed)
    beginning = perceptron(share if way == PENALTY else 0.0)
    model = restarted(trainable(optimizer, way, share), beginning, RATES[optimizer])
    loss_curve(model, drawn.train, steps=steps, seed=seed)
    return model


def distance(optimizer: str, seed: int, steps: int) -> float:
    """How far L2 and decay lead apart, against how far each leads from neither, together: 0 the same, 1 opposite."""
    drawn = samples(seed)
    ends = {
        way: np.concatenate([w.ravel() for w in trained(optimizer, way, SHARE, seed, steps, drawn).get_weights()])
        for way in (PENALTY, DECAY, NONE)
    }
    led = sum(np.linalg.norm(ends[way] - ends[NONE]) for way in (PENALTY, DECAY))
    return round(float(np.linalg.norm(ends[PENALTY] - ends[DECAY]) / led), 6)


def accuracies(way: str, share: float, seed: int, steps: int) -> dict[str, float]:
    drawn = samples(seed)
    model = trained("Adam", way, share, seed, steps, drawn)
    return {"validation": accuracy(model, drawn.validation), "test": accuracy(model, drawn.test)}


def measure(run: Run) -> Figures:
    compared, steps = (20, 20) if run.quick else (COMPARED_STEPS, STEPS)
    apart = {
        name: [run.cell(distance, optimizer=name, seed=seed, steps=compared) for seed in run.seeds] for name in RATES
    }
    tested = {}
    for way, shares in STRENGTHS.items():
        tried = {share: run.cell(accuracies, way=way, share=share, seed=TUNING_SEED, steps=steps) for share in shares}
        best = max(tried, key=lambda share, tried=tried: tried[share]["validation"])
        found = [run.cell(accuracies, way=way, share=best, seed=seed, steps=steps)["test"] for seed in run.seeds]
        tested[way] = {"share": best, "accuracy": found}
    return {"apart": apart, "tested": tested}


def judge(figures: Figures) -> Judgement:
    apart = {name: interval([100 * one for one in seeds]) for name, seeds in figures["apart"].items()}
    beyond = interval([one - APART for one in figures["apart"]["Adam"]])
    tested = {way: one["accuracy"] for way, one in figures["tested"].items()}
    decay_over_l2 = paired_difference(tested[DECAY], tested[PENALTY])
    return Judgement(
        verdict_of({"": beyond})[0],
        "From the same weights and batches, L2 and decay of equal nominal strength end apart by "
        f"{with_interval(apart['Adam'], '%', 0)} of the ways they lead together, under Adam; under plain SGD by "
        f"{with_interval(apart['SGD'], '%', 3)}, as there they are the same. Test accuracy under Adam, each at its "
        f"best strength: {with_interval(interval(tested[DECAY]), '%')} with decay, "
        f"{with_interval(interval(tested[PENALTY]), '%')} with L2 "
        f"({with_interval(decay_over_l2, 'points', signed=True)} for decay), "
        f"{with_interval(interval(tested[NONE]), '%')} with neither.",
    )


def draw(figures: Figures, figure: Figure) -> None:
    ends, tested = figure.subplots(1, 2)
    dots(ends, {name: [100 * one for one in seeds] for name, seeds in figures["apart"].items()})
    ends.axvline(100 * APART, color="black", linestyle=":", linewidth=1)
    ends.set(title="equal nominal strength", xlabel="distance between L2 and decay\n(% of the ways they lead together)")
    dots(tested, {_named(way, one["share"]): one["accuracy"] for way, one in figures["tested"].items()})
    tested.set(title="each at its best strength, Adam", xlabel="test accuracy (%)")


def _named(way: str, share: float) -> str:
    return {NONE: "neither", PENALTY: f"L2, factor {share / 2:g}", DECAY: f"decay {share:g}"}[way]


CLAIM = Claim(
    code="C18",
    statement="L2 with Adam is not the same as decoupled weight decay (AdamW).",
    how=f"Perceptrons with two hidden layers of 128 on 1,000 images of Fashion-MNIST, drawn anew for every seed, "
    f"{MISLABELLED:.0%} of their labels drawn at random. First {COMPARED_STEPS} steps from the same weights with the "
    f"same batches, with an L2 factor of {SHARE / 2:g} or with a decay of {SHARE:g}, which shrink a weight by the same "
    f"share where the optimizer is plain SGD: the distance between the weights at the end, against the sum of their "
    f"distances from a run with neither, so that 100 % are opposite ways. "
    f"They are called different beyond {APART:.0%}. Then {STEPS} steps of Adam at {RATES['Adam']:g}, the strength of "
    f"each, of three, chosen on 1,000 validation images of a draw of its own, and accuracy on 2,000 test images.",
    measure=measure,
    judge=judge,
    draw=draw,
)
