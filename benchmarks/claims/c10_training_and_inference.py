"""C10: layer normalization computes the same in training and at inference, batch normalization does not."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of, with_interval
from benchmarks.claims.networks import plain_convolutions
from benchmarks.claims.restarts import restarted
from benchmarks.claims.several_momenta import SeveralMomenta, use_momentum
from benchmarks.claims.style import curves
from benchmarks.datasets import Pair, parts
from benchmarks.short_runs import outputs, train

BATCH_SIZES = (32, 16, 8, 4, 2)
LARGEST, SMALLEST = BATCH_SIZES[0], BATCH_SIZES[-1]
MOMENTA = (0.9, 0.99, 0.999)
DEFAULT = 0.99
STEPS = (10, 30, 100, 300, 1000)
SEEN = 512
"""Images on which both modes are compared, out of those that train."""
SAME = 0.1
"""Percent of the images that may get another class where two modes are called the same."""


def network(arm: str) -> keras.Model:
    norms = {"BN": lambda: SeveralMomenta(MOMENTA), "LN": lambda: keras.layers.GroupNormalization(1)}
    return plain_convolutions(norms[arm], per_stage=1)


@cache
def trainable(arm: str) -> keras.Model:
    model = network(arm)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss, steps_per_execution=10, jit_compile=False)
    return model


@cache
def in_training_mode(arm: str) -> Any:
    """The outputs for a batch in training mode, which leaves the averages as they are."""
    import tensorflow as tf

    model = trainable(arm)

    @tf.function
    def logits(x: Any) -> Any:
        variables = (
            [variable.value for variable in kept] for kept in (model.trainable_variables, model.non_trainable_variables)
        )
        return model.stateless_call(*variables, x, training=True)[0]

    return logits


def compared(arm: str, batch_size: int, seed: int, steps: list[int]) -> list[Figures]:
    """After each of the steps the loss in training mode, and by momentum what it is at inference.

    Of both modes the `loss` and the `accuracy` in percent; of inference also `changed`, the percent of the images that
    get another class than in training mode.
    """
    samples = parts("fashion_mnist", 4000, 1000, 1000, seed).train
    seen = samples[0][:SEEN], samples[1][:SEEN]
    keras.utils.set_random_seed(seed)
    beginning = network(arm)
    model = restarted(trainable(arm), beginning, 1e-3)
    found = []
    for before, after in zip([0, *steps], steps, strict=False):
        train(model, samples, steps=after - before, seed=1000 * seed + after, batch_size=batch_size)
        batches = np.split(seen[0], SEEN // batch_size)
        training = np.concatenate([np.asarray(in_training_mode(arm)(keras.ops.convert_to_tensor(x))) for x in batches])
        inference = {}
        for momentum in MOMENTA if arm == "BN" else (DEFAULT,):
            use_momentum(model, momentum)
            logits = outputs(model, seen[0])
            changed = 100 * float(np.mean(logits.argmax(-1) != training.argmax(-1)))
            inference[str(momentum)] = _scores(logits, seen) | {"changed": round(changed, 2)}
        found.append({"training": _scores(training, seen), "inference": inference})
    return found


def _scores(logits: np.ndarray, seen: Pair) -> dict[str, float]:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(seen[1], logits)
    return {
        "loss": round(float(loss), 4),
        "accuracy": round(100 * float(np.mean(logits.argmax(-1) == seen[1])), 2),
    }


def measure(run: Run) -> Figures:
    steps = [10, 30] if run.quick else list(STEPS)
    sizes = {"BN": BATCH_SIZES, "LN": (LARGEST, SMALLEST)}
    found = {
        arm: {
            str(size): [run.cell(compared, arm=arm, batch_size=size, seed=seed, steps=steps) for seed in run.seeds]
            for size in sizes[arm]
        }
        for arm in sizes
    }
    return {"steps": steps, "compared": found}


def changed(
    figures: Figures, arm: str = "BN", size: int = LARGEST, momentum: float = DEFAULT, position: int = -1
) -> list[float]:
    """Percent of the images that get another class at inference than in training mode, for each seed."""
    return [one[position]["inference"][str(momentum)]["changed"] for one in figures["compared"][arm][str(size)]]


def gaps(figures: Figures, size: int = LARGEST, momentum: float = DEFAULT, position: int = -1) -> list[float]:
    """Loss of BN at inference less that in training mode, for each seed."""
    return [
        one[position]["inference"][str(momentum)]["loss"] - one[position]["training"]["loss"]
        for one in figures["compared"]["BN"][str(size)]
    ]


def early(figures: Figures) -> int:
    """Position of the second of the steps, when averages still remember their beginning."""
    return min(1, len(figures["steps"]) - 1)


def statements(figures: Figures) -> dict[str, Interval]:
    """What the claim comes to, with what must be above 0 for it."""
    of_layer_norm = np.maximum(changed(figures, "LN", LARGEST), changed(figures, "LN", SMALLEST))
    last = changed(figures)
    return {
        "LN computes the same": interval(list(SAME - of_layer_norm)),
        "BN does not": interval([one - SAME for one in last]),
        "BN differs more with a small batch": paired_difference(changed(figures, size=SMALLEST), last),
        "BN differs more after few steps": paired_difference(changed(figures, position=early(figures)), last),
        "BN differs more with a large momentum": paired_difference(
            changed(figures, momentum=MOMENTA[-1]), changed(figures, momentum=MOMENTA[0])
        ),
    }


def judge(figures: Figures) -> Judgement:
    verdict, holding = verdict_of(statements(figures))
    first, last = figures["steps"][early(figures)], figures["steps"][-1]

    def share(**of: Any) -> str:
        return with_interval(interval(changed(figures, **of)), "%")

    def gap(**of: Any) -> str:
        return with_interval(interval(gaps(figures, **of)), digits=2, signed=True)

    by_momentum = [f"{share(momentum=one)} with {one:g} ({gap(momentum=one)})" for one in MOMENTA]
    return Judgement(
        verdict,
        f"Images that get another class at inference than in training mode, and in brackets the loss at inference less "
        f"that in training mode, over {len(changed(figures))} seeds. LN: {share(arm='LN')}. BN with batches of "
        f"{LARGEST} after {last:,} steps: {listed(by_momentum)}. With momentum {DEFAULT:g} after {first} steps: "
        f"{share(position=early(figures))} ({gap(position=early(figures))}). With batches of {SMALLEST} after "
        f"{last:,} steps: {share(size=SMALLEST)} ({gap(size=SMALLEST)}).",
        f"it says no more than that {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else "",
    )


def draw(figures: Figures, figure: Figure) -> None:
    left, right = figure.subplots(1, 2)
    runs = figures["compared"]["BN"][str(LARGEST)]
    losses = {
        f"inference, {one:g}": [[at["inference"][str(one)]["loss"] for at in run] for run in runs] for one in MOMENTA
    }
    curves(left, figures["steps"], losses | {"training mode": [[at["training"]["loss"] for at in run] for run in runs]})
    left.set(xscale="log", yscale="log", xlabel="training steps", ylabel="loss on the same images (cross-entropy)")
    left.set_title(f"BN, batches of {LARGEST}, by momentum")
    left.legend()
    sizes = [int(size) for size in figures["compared"]["BN"]]
    by_momentum = {
        f"BN, {one:g}": list(zip(*(changed(figures, size=size, momentum=one) for size in sizes), strict=True))
        for one in MOMENTA
    }
    curves(right, range(len(sizes)), by_momentum)
    ends = [0, len(sizes) - 1]
    layer_norm = [np.mean(changed(figures, "LN", size)) for size in (LARGEST, SMALLEST)]
    right.plot(ends, layer_norm, color="black", linestyle=":", label="LN")
    right.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    right.set(xlabel="batch size (images)", ylabel="images of another class (%)", ylim=(-2, None))
    right.set_title(f"after {figures['steps'][-1]:,} steps")
    right.legend()


CLAIM = Claim(
    code="C10",
    statement="LN computes the same in training and at inference; BN does not, and the difference grows as the batch "
    "shrinks and as the moving averages lag.",
    how="A plain network of 3 convolutions on 4,000 images of Fashion-MNIST, drawn anew for every seed, Adam at 0.001. "
    f"After {listed([f'{steps:,}' for steps in STEPS])} steps {SEEN} of the training images go through it in training "
    "mode, in batches of the size it trains with, and at inference, with the same weights. Averages of momentum "
    f"{listed([f'{momentum:g}' for momentum in MOMENTA])} are kept in the same training. Few steps are {STEPS[1]} "
    f"against {STEPS[-1]:,}, a small batch is {SMALLEST} against {LARGEST} (both with momentum {DEFAULT:g}), a large "
    f"momentum {MOMENTA[-1]:g} against {MOMENTA[0]:g}. Modes that disagree on less than {SAME:g} % of the images "
    "count as the same.",
    measure=measure,
    judge=judge,
    draw=draw,
)
