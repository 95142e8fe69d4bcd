"""C14: weight normalization separates length from direction and makes training less sensitive to the initial scale."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of, with_interval
from benchmarks.claims.loss_curves import compiled, loss_curve
from benchmarks.claims.restarts import restarted
from benchmarks.claims.standardizing import standardized
from benchmarks.claims.style import curves
from benchmarks.claims.training import best_rate
from benchmarks.datasets import Parts, parts
from benchmarks.short_runs import accuracy
from keras_normpack import WeightNormalization

PLAIN, COPIED, FROM_DATA = "none", "WN", "WN, lengths from data"
SCALES = (0.1, 0.3, 1.0, 3.0, 10.0)
OPTIMIZERS = {"SGD": lambda: keras.optimizers.SGD(momentum=0.9), "Adam": keras.optimizers.Adam}
RATES = {"SGD": (0.003, 0.01, 0.03), "Adam": (0.0003, 0.001, 0.003)}
STEPS, LONGER = 250, 10.0
SAME = 1e-4
"""Of the outputs, for two functions that are one but for rounding."""


def samples(seed: int) -> Parts:
    """Images as rows of pixels of mean 0 and deviation 1, as weight normalization itself centres no input."""
    drawn = standardized(parts("fashion_mnist", 4000, 1000, 2000, seed))
    rows = ((x.reshape(len(x), -1), y) for x, y in (drawn.train, drawn.validation, drawn.test))
    return Parts(*rows, drawn.classes)


def perceptron(arm: str, scale: float) -> keras.Model:
    """Four hidden layers, whose initial weights are those of He et al. 2015 times the scale."""
    model = keras.Sequential([keras.Input((784,))])
    for units, activation in ((128, "relu"),) * 4 + ((10, None),):
        initializer = keras.initializers.VarianceScaling(2 * scale**2)
        dense = layers.Dense(units, activation=activation, kernel_initializer=initializer)
        model.add(dense if arm == PLAIN else WeightNormalization(dense, data_init=arm == FROM_DATA))
    return model


@cache
def trainable(optimizer: str, arm: str) -> keras.Model:
    return compiled(perceptron(arm, 1.0), OPTIMIZERS[optimizer]())


def trained(optimizer: str, arm: str, scale: float, rate: float, seed: int, steps: int) -> dict[str, float]:
    """Validation and test accuracy in percent."""
    drawn = samples(seed)
    keras.utils.set_random_seed(seed)
    beginning = perceptron(arm, scale)
    model = restarted(trainable(optimizer, arm), beginning, rate)
    loss_curve(model, drawn.train, steps=steps, seed=seed)
    return {"validation": accuracy(model, drawn.validation), "test": accuracy(model, drawn.test)}


def separation(seed: int) -> dict[str, float]:
    """What a direction ten times as long changes, and how much of the gradient of v lies along v."""
    import tensorflow as tf

    x, y = samples(seed).train
    keras.utils.set_random_seed(seed)
    layer = WeightNormalization(layers.Dense(10), data_init=False)
    with tf.GradientTape() as tape:
        outputs = layer(x[:256])
        loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y[:256], outputs, from_logits=True))
    gradient = keras.ops.convert_to_numpy(tape.gradient(loss, layer.v.value))
    direction = keras.ops.convert_to_numpy(layer.v)
    along = np.abs((gradient * direction).sum(axis=0)) / np.linalg.norm(gradient, axis=0)
    before = keras.ops.convert_to_numpy(outputs)
    layer.v.assign(layer.v * LONGER)
    after = keras.ops.convert_to_numpy(layer(x[:256]))
    return {
        "change of the outputs": float(np.abs(after - before).max() / np.abs(before).max()),
        "gradient along the direction": float((along / np.linalg.norm(direction, axis=0)).max()),
    }


def measure(run: Run) -> Figures:
    steps, scales = (30, SCALES[2:4]) if run.quick else (STEPS, SCALES)
    found: Figures = {}
    for optimizer, rates in RATES.items():
        found[optimizer] = {}
        for arm in (PLAIN, COPIED, FROM_DATA):
            settings = {"optimizer": optimizer, "arm": arm, "steps": steps}
            rate = best_rate(run, trained, rates[:1] if run.quick else rates, scale=1.0, **settings)
            accuracies = [
                [run.cell(trained, scale=scale, rate=rate, seed=seed, **settings)["test"] for scale in scales]
                for seed in run.seeds
            ]
            found[optimizer][arm] = {"rate": rate, "accuracy": accuracies}
    separated = [run.cell(separation, seed=seed) for seed in run.seeds]
    return {"scales": list(scales), "trained": found, "separation": separated}


def loss_by_scale(accuracies: list[list[float]]) -> list[float]:
    """For each seed, points that the average scale costs against the best."""
    return [max(one) - float(np.mean(one)) for one in accuracies]


def gains(figures: Figures, arm: str) -> dict[str, Interval]:
    """Points that the arm spares the average scale, by optimizer."""
    return {
        name: paired_difference(loss_by_scale(arms[PLAIN]["accuracy"]), loss_by_scale(arms[arm]["accuracy"]))
        for name, arms in figures["trained"].items()
    }


def judge(figures: Figures) -> Judgement:
    worst = max(value for one in figures["separation"] for value in one.values())
    tried = {arm: gains(figures, arm) for arm in (COPIED, FROM_DATA)}
    insensitive, _ = verdict_of({f"{name}, {arm}": gain for arm in tried for name, gain in tried[arm].items()})
    verdict = insensitive if worst <= SAME else Verdict.FAILS
    costs = {
        name: listed([f"{with_interval(interval(loss_by_scale(arms[arm]['accuracy'])))} ({arm})" for arm in arms])
        for name, arms in figures["trained"].items()
    }
    result = (
        f"Direction and length are {'separate' if worst <= SAME else 'not separate'}: a direction {LONGER:.0f} times "
        f"as long changes outputs, and gradients lie along the direction, by a share of at most {worst:.0e}. Against "
        "the best scale, the average one costs, in points of accuracy: "
        + "; ".join(f"under {name} {cost}" for name, cost in costs.items())
        + ". WN spares "
        + "; ".join(
            f"{with_interval(gain, 'points', signed=True)} ({name}, {arm})"
            for arm in tried
            for name, gain in tried[arm].items()
        )
        + "."
    )
    return Judgement(verdict, result, _condition(tried) if verdict is Verdict.HOLDS_WHEN else "")


def _condition(tried: dict[str, dict[str, Interval]]) -> str:
    words = {COPIED: "the lengths begin as those of the weights", FROM_DATA: "the first batch sets the lengths"}
    return listed(
        [
            f"{words[arm]} (under {listed(names)})"
            for arm, by_optimizer in tried.items()
            if (names := [name for name, gain in by_optimizer.items() if gain.low > 0])
        ]
    )


def draw(figures: Figures, figure: Figure) -> None:
    panels = figure.subplots(1, len(figures["trained"]), sharey=True)
    for axes, (optimizer, arms) in zip(panels, figures["trained"].items(), strict=True):
        curves(axes, figures["scales"], {arm: found["accuracy"] for arm, found in arms.items()})
        axes.set(xscale="log", title=optimizer, xlabel="initial weights, times those of He et al.", ylim=(0, 100))
    figure.axes[0].set_ylabel("test accuracy (%)")
    figure.axes[1].legend(loc="lower center")


CLAIM = Claim(
    code="C14",
    statement="Weight normalization separates a weight's length from its direction and makes training less sensitive "
    "to the initial scale.",
    how="A layer whose direction is made ten times as long, and the part of its gradient along the direction. Then a "
    "perceptron with four hidden layers of 128 on 4,000 images of Fashion-MNIST, drawn anew for every seed, batches of "
    f"32, {STEPS} steps, initial weights of {listed([f'{scale:g}' for scale in SCALES])} times those of He et al. "
    "2015. The learning rate of every arm is the best of three on validation images at the scale 1, from a draw of its "
    "own; accuracy is on 2,000 test images. `WN` begins with the lengths of the weights, the other arm sets them by "
    "the first batch, as Salimans & Kingma 2016 do.",
    measure=measure,
    judge=judge,
    draw=draw,
)
