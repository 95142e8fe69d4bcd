"""C07: where both fit, batch normalization beats layer normalization."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import keras
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of, with_interval
from benchmarks.claims.networks import Norm, fast_batch_norm, plain_convolutions
from benchmarks.claims.restarts import restarted
from benchmarks.claims.style import dots
from benchmarks.claims.training import at_best_rates, compiled_with_cosine
from benchmarks.claims.wording import points
from benchmarks.datasets import parts
from benchmarks.short_runs import accuracy, train

ARMS: Mapping[str, Norm] = {
    "BN": fast_batch_norm,
    "LN of the sample": lambda: keras.layers.GroupNormalization(1),
    "LN of the channels": keras.layers.LayerNormalization,
}
SETS = {"Fashion-MNIST": "fashion_mnist", "CIFAR-10": "cifar10"}
SHAPES = {"Fashion-MNIST": (28, 28, 1), "CIFAR-10": (32, 32, 3)}
RATES = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2)
SAMPLES, BATCH, EPOCHS = 3200, 64, 8


def network(arm: str, name: str) -> keras.Model:
    return plain_convolutions(ARMS[arm], per_stage=2, image_shape=SHAPES[name])


@cache
def trainable(arm: str, name: str, rate: float, steps: int) -> keras.Model:
    # With SGD and momentum LN learns less here, by 9 points on CIFAR-10.
    return compiled_with_cosine(network(arm, name), rate, steps)


def trained(name: str, arm: str, rate: float, seed: int, epochs: int) -> dict[str, float]:
    """Accuracies in percent."""
    drawn = parts(SETS[name], SAMPLES, 1000, 4000, seed)
    steps = epochs * SAMPLES // BATCH
    keras.utils.set_random_seed(seed)
    beginning = network(arm, name)
    model = restarted(trainable(arm, name, rate, steps), beginning)
    train(model, drawn.train, steps=steps, seed=seed, batch_size=BATCH)
    return {"validation": accuracy(model, drawn.validation), "test": accuracy(model, drawn.test)}


def measure(run: Run) -> Figures:
    epochs, rates = (1, RATES[1:2]) if run.quick else (EPOCHS, RATES)
    return {name: at_best_rates(run, trained, ARMS, rates, name=name, epochs=epochs) for name in SETS}


def advantages(figures: Figures) -> dict[str, Interval]:
    """Points of accuracy that BN has before each form of LN."""
    return {
        f"{arm} on {name}": paired_difference(found["accuracy"]["BN"], found["accuracy"][arm])
        for name, found in figures.items()
        for arm in found["accuracy"]
        if arm != "BN"
    }


def judge(figures: Figures) -> Judgement:
    found = advantages(figures)
    verdict, holding = verdict_of(found)
    sentences = []
    for name, one in figures.items():
        means = [f"{arm} {with_interval(interval(values), '%')}" for arm, values in one["accuracy"].items()]
        before = [f"{points(found[f'{arm} on {name}'])} before {arm}" for arm in one["accuracy"] if arm != "BN"]
        sentences.append(f"{name}: {', '.join(means)}; BN is {listed(before)} over {len(one['accuracy']['BN'])} seeds.")
    when = f"it is against {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else ""
    return Judgement(verdict, " ".join(sentences), when)


def draw(figures: Figures, figure: Figure) -> None:
    for axes, (name, found) in zip(figure.subplots(1, len(figures), sharey=True), figures.items(), strict=True):
        dots(axes, {f"{arm}": values for arm, values in found["accuracy"].items()})
        axes.set(title=name, xlabel="accuracy on test images (%)")


CLAIM = Claim(
    code="C07",
    statement="Where both fit (a CNN and an adequate batch), BN beats LN.",
    how=f"Plain networks of 6 convolutions on {SAMPLES:,} images of Fashion-MNIST and of CIFAR-10, drawn anew for "
    f"every seed, batches of {BATCH}, {EPOCHS} epochs of Adam with cosine decay. For each arm the best "
    f"rate of {listed([f'{rate:g}' for rate in RATES])} on 1,000 validation images with a seed of its own; accuracy on "
    "4,000 test images. BN's averages have momentum 0.9, which fits the length of the runs. LN is taken in both forms "
    "there are for images: over all positions and channels of a sample (GN with one group), and over the channels at "
    "each position (Keras's layer as it is, and as ConvNeXt has it).",
    measure=measure,
    judge=judge,
    draw=draw,
)
