"""C22: normalization keeps gradients of a deep plain network from vanishing or exploding."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, interval
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of, with_interval
from benchmarks.claims.style import colour
from benchmarks.datasets import parts

NONE = "none"
ARMS = (NONE, "BN", "LN")
STARTS = {"half of He": 0.5, "Glorot": 0.5**0.5, "He": 1.0, "twice He": 2.0}
"""Deviation of the initial weights, relative to those of He et al. 2015."""
ACTIVATIONS = ("ReLU", "tanh")
WIDTH, DEPTH, BATCH = 128, 32, 128
KEPT = 1.0
"""Powers of ten that a gradient may have changed by and still be called kept."""


def gradients(arm: str, activation: str, scale: float, seed: int, depth: int) -> list[float]:
    """For each layer, the gradient of the loss by its outputs against that of the last layer, in powers of ten."""
    import tensorflow as tf

    x, y = parts("fashion_mnist", BATCH, 100, 100, seed).train
    hidden = keras.ops.convert_to_tensor(((x - x.mean()) / x.std()).reshape(len(x), -1))
    keras.utils.set_random_seed(seed)
    outputs_of = []
    with tf.GradientTape() as tape:
        for _ in range(depth):
            hidden = layers.Dense(WIDTH, kernel_initializer=keras.initializers.VarianceScaling(2 * scale**2))(hidden)
            if arm == "BN":
                hidden = layers.BatchNormalization()(hidden, training=True)
            if arm == "LN":
                hidden = layers.LayerNormalization()(hidden)
            hidden = keras.activations.get(activation.lower())(hidden)
            tape.watch(hidden)
            outputs_of.append(hidden)
        logits = layers.Dense(10)(hidden)
        loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True))
    norms = [float(tf.norm(gradient)) for gradient in tape.gradient(loss, outputs_of)]
    return [round(float(np.log10(norm / norms[-1])), 4) for norm in norms]


def measure(run: Run) -> Figures:
    depth = 8 if run.quick else DEPTH
    return {
        activation: {
            arm: {
                start: [
                    run.cell(gradients, arm=arm, activation=activation, scale=scale, seed=seed, depth=depth)
                    for seed in run.seeds
                ]
                for start, scale in STARTS.items()
            }
            for arm in ARMS
        }
        for activation in ACTIVATIONS
    }


def change(figures: Figures, activation: str, arm: str, start: str) -> Interval:
    """Powers of ten from the last layer to the first."""
    return interval([one[0] for one in figures[activation][arm][start]])


def furthest(figures: Figures, activation: str, arm: str) -> Interval:
    """The change at the start where it is largest, either way."""
    changes = [change(figures, activation, arm, start) for start in figures[activation][arm]]
    return max(changes, key=lambda one: abs(one.mean))


def room(found: Interval) -> Interval:
    """How far the size of a change is from where a gradient is no longer kept; below 0 it is not."""
    return Interval(KEPT - abs(found.mean), found.half_width, found.count)


def judge(figures: Figures) -> Judgement:
    found = {
        f"{arm} and {activation}": furthest(figures, activation, arm) for arm in ARMS[1:] for activation in figures
    }
    verdict, holding = verdict_of({name: room(one) for name, one in found.items()})
    between = len(next(iter(figures["ReLU"]["BN"].values()))[0]) - 1
    normalized = "; ".join(
        f"{name} {with_interval(one, digits=2, signed=True)}, a factor of {10 ** (one.mean / between):.2f} a layer"
        for name, one in found.items()
    )
    plain = "; ".join(
        f"{start} with {activation} {with_interval(change(figures, activation, NONE, start), digits=2, signed=True)}"
        for activation in figures
        for start in figures[activation][NONE]
    )
    spreads = {arm: max(_spread(figures, activation, arm) for activation in figures) for arm in ARMS}
    varies = listed([f"{spread:.2f} ({arm})" for arm, spread in spreads.items()])
    return Judgement(
        verdict,
        f"Over {between + 1} layers the gradient changes by these powers of ten, at the initial weights where it "
        f"changes most: {normalized}. Without normalization it depends on the weights: {plain}. From one to another of "
        f"the initial weights the change varies by up to {varies}. For BN and ReLU, Yang et al. 2019 "
        "(arXiv:1902.08129) derive a growth of √(π / (π - 1)) ≈ 1.21 a layer whatever the weights.",
        f"the network has {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else "",
    )


def _spread(figures: Figures, activation: str, arm: str) -> float:
    changes = [change(figures, activation, arm, start).mean for start in figures[activation][arm]]
    return max(changes) - min(changes)


def draw(figures: Figures, figure: Figure) -> None:
    styles = dict(zip(STARTS, (":", "--", "-", "-."), strict=True))
    for axes, (activation, arms) in zip(figure.subplots(1, len(figures), sharey=True), figures.items(), strict=True):
        axes.axhspan(-KEPT, KEPT, color="black", alpha=0.06, linewidth=0)
        for arm, starts in arms.items():
            # Normalized, the networks do not tell the initial weights apart: one line stands for all.
            for start in starts if arm == NONE else ("He",):
                line = np.mean(starts[start], axis=0)
                label = f"none, {start}" if arm == NONE else arm
                axes.plot(range(1, len(line) + 1), line, styles[start], color=colour(arm), label=label)
        axes.set(title=activation, xlabel="layer")
    figure.axes[0].set_ylabel("gradient by the outputs of a layer\n(powers of ten of the last layer's)")
    figure.axes[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


CLAIM = Claim(
    code="C22",
    statement="Normalization keeps gradients of a deep plain network from vanishing or exploding.",
    how=f"Perceptrons of {DEPTH} hidden layers of {WIDTH} before training, on {BATCH} images of Fashion-MNIST drawn "
    "anew for every seed, in training mode: the norm of the gradient of the loss by the outputs of each layer, against "
    "that of the last hidden layer. The initial weights have half, 1/√2 (which is near Glorot's), once and twice the "
    "deviation of He et al. 2015. A gradient is called kept that changes by less than a factor of ten either way; of "
    "each normalization the initial weights count where the change is largest.",
    measure=measure,
    judge=judge,
    draw=draw,
)
