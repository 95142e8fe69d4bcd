"""C06: error against batch size with four normalizations, the shape of figure 1 of Wu & He 2018."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.conditions import listed, verdict_of
from benchmarks.claims.residual_network import residual_network
from benchmarks.claims.restarts import restarted
from benchmarks.claims.several_momenta import SeveralMomenta, use_momentum
from benchmarks.claims.style import curves
from benchmarks.claims.training import best_rate
from benchmarks.claims.wording import points
from benchmarks.datasets import parts
from benchmarks.short_runs import accuracy, train

BATCH_SIZES = (32, 16, 8, 4, 2)
LARGEST, SMALLEST = str(BATCH_SIZES[0]), str(BATCH_SIZES[-1])
SAMPLES, EPOCHS = 1280, 10
RATES = (0.02, 0.05, 0.1, 0.2)
MOMENTA = (0.9, 0.99, 0.999)
DEFAULT = "0.99"
RENORM_IMAGES = 320
TRAINED = ("BN", "BN renorm", "GN", "LN")
SHOWN = ("BN", "BN tuned", "BN renorm", "GN", "LN")
MATTERS = 1.0
"""Points of error; an increase that is surely less is as good as none."""


def norm(arm: str, batch_size: int) -> keras.Layer:
    if arm == "BN":
        return SeveralMomenta(MOMENTA)
    if arm == "BN renorm":
        momentum = 1 - batch_size / RENORM_IMAGES
        # The bounds that Wu & He 2018 give renorm for small batches.
        bounds = {"rmin": 1 / 1.5, "rmax": 1.5, "dmax": 0.5}
        return keras.layers.BatchNormalization(
            momentum=momentum, renorm=True, renorm_momentum=momentum, renorm_clipping=bounds
        )
    return keras.layers.GroupNormalization({"GN": 8, "LN": 1}[arm])


def network(arm: str, batch_size: int) -> keras.Model:
    return residual_network(lambda: norm(arm, batch_size), (28, 28, 1), 10)


@cache
def trainable(arm: str, batch_size: int, rate: float, steps: int) -> keras.Model:
    model = network(arm, batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(rate * batch_size / BATCH_SIZES[0], steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(schedule, 0.9), loss, steps_per_execution=20, jit_compile=False)
    return model


def trained(arm: str, batch_size: int, rate: float, seed: int, samples: int, epochs: int) -> dict[str, Any]:
    """Accuracies in percent after training with a rate that is given for 32 samples and scaled to the batch.

    Of BN, `test` and `validation` by momentum; `validation` alone is that of the best.
    """
    drawn = parts("fashion_mnist", samples, 1000, 2000, seed)
    steps = samples * epochs // batch_size
    keras.utils.set_random_seed(seed)
    beginning = network(arm, batch_size)
    model = restarted(trainable(arm, batch_size, rate, steps), beginning)
    train(model, drawn.train, steps=steps, seed=seed, batch_size=batch_size)
    if arm != "BN":
        return {"validation": accuracy(model, drawn.validation), "test": accuracy(model, drawn.test)}
    by_momentum = {}
    for momentum in MOMENTA:
        use_momentum(model, momentum)
        by_momentum[str(momentum)] = {
            "validation": accuracy(model, drawn.validation),
            "test": accuracy(model, drawn.test),
        }
    return {"validation": max(one["validation"] for one in by_momentum.values()), "momenta": by_momentum}


def measure(run: Run) -> Figures:
    size = {"samples": 320, "epochs": 2} if run.quick else {"samples": SAMPLES, "epochs": EPOCHS}
    rates = {arm: best_rate(run, trained, RATES, arm=arm, batch_size=BATCH_SIZES[0], **size) for arm in TRAINED}
    # Seeds outside, so that a run cut short has all arms.
    outcomes = [
        {
            (arm, batch_size): run.cell(trained, arm=arm, batch_size=batch_size, rate=rates[arm], seed=seed, **size)
            for arm in TRAINED
            for batch_size in BATCH_SIZES
        }
        for seed in run.seeds
    ]
    errors: Figures = {arm: {} for arm in SHOWN}
    tuned = {}
    for batch_size in BATCH_SIZES:
        momenta = [found["BN", batch_size]["momenta"] for found in outcomes]
        best = max(
            map(str, MOMENTA), key=lambda one, momenta=momenta: np.mean([found[one]["validation"] for found in momenta])
        )
        tuned[str(batch_size)] = float(best)
        errors["BN"][str(batch_size)] = [100 - found[DEFAULT]["test"] for found in momenta]
        errors["BN tuned"][str(batch_size)] = [100 - found[best]["test"] for found in momenta]
        for arm in TRAINED[1:]:
            errors[arm][str(batch_size)] = [100 - found[arm, batch_size]["test"] for found in outcomes]
    return {"rates": rates, "momenta": tuned, "errors": errors}


def growths(figures: Figures, arm: str) -> list[float]:
    """By how many points the error grows from the largest to the smallest batch, for each seed."""
    errors = figures["errors"][arm]
    return [small - large for small, large in zip(errors[SMALLEST], errors[LARGEST], strict=True)]


def margin(grown: Sequence[float]) -> Interval:
    """How far an increase stays below what matters."""
    return interval([MATTERS - one for one in grown])


def statements(figures: Figures) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """What the claim says of BN, and what it says of the others; each must be above 0 for it."""
    grown = {arm: growths(figures, arm) for arm in SHOWN}
    of_batch_norm = {
        f"BN with {momentum} gets worse": interval(grown[arm])
        for arm, momentum in {"BN": "momentum 0.99", "BN tuned": "the best momentum"}.items()
    }
    of_others = {f"{arm} does not": margin(grown[arm]) for arm in ("GN", "LN")}
    more = {
        f"BN with the best momentum gets worse by more than {arm}": paired_difference(grown["BN tuned"], grown[arm])
        for arm in ("GN", "LN")
    }
    return of_batch_norm, of_others | more


def judge(figures: Figures) -> Judgement:
    of_batch_norm, of_others = statements(figures)
    verdict, holding = verdict_of(of_batch_norm)
    if holding:
        verdict, holding = verdict_of(of_batch_norm | of_others)
    errors = figures["errors"]
    sentences = [
        f"{arm} {interval(errors[arm][LARGEST]).mean:.1f} % and {interval(errors[arm][SMALLEST]).mean:.1f} %, "
        f"{points(interval(growths(figures, arm)))}"
        for arm in SHOWN
    ]
    more = [
        f"{points(paired_difference(growths(figures, 'BN tuned'), growths(figures, arm)))} against {arm}"
        for arm in ("GN", "LN")
    ]
    tuned = listed([f"{momentum:g} at {size}" for size, momentum in figures["momenta"].items()])
    return Judgement(
        verdict,
        f"Error with batches of {LARGEST} and of {SMALLEST}: {'; '.join(sentences)} over "
        f"{len(errors['BN'][LARGEST])} seeds. The increase of BN tuned is {listed(more)}. Its momentum: {tuned}.",
        f"it says no more than that {listed(holding)}" if verdict is Verdict.HOLDS_WHEN else "",
    )


def draw(figures: Figures, figure: Figure) -> None:
    axes = figure.subplots()
    errors = figures["errors"]
    by_seed = {arm: list(zip(*(errors[arm][str(size)] for size in BATCH_SIZES), strict=True)) for arm in SHOWN}
    curves(axes, range(len(BATCH_SIZES)), by_seed)
    axes.set_xticks(range(len(BATCH_SIZES)), [str(size) for size in BATCH_SIZES])
    axes.set(xlabel="batch size (images)", ylabel="error on test images (%)")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


CLAIM = Claim(
    code="C06",
    statement="BN gets worse as the batch shrinks from 32 to 2; GN and LN do not.",
    how=f"A residual network of three blocks on {SAMPLES:,} images of Fashion-MNIST, drawn anew for every seed, "
    f"{EPOCHS} epochs at each batch size, SGD with momentum 0.9 and cosine decay. The learning rate is in proportion "
    "to the batch size, as in figure 1 of Wu & He 2018 (arXiv:1803.08494); at 32 it is, of "
    f"{listed([f'{rate:g}' for rate in RATES])}, for each arm the best on 1,000 validation images with a seed of its "
    f"own. BN has the momentum {DEFAULT} of Keras; BN tuned is the same trainings with the averages of momentum "
    f"{listed([f'{momentum:g}' for momentum in MOMENTA])} that are best on validation images at that batch size; BN "
    f"renorm has Keras's `renorm` within the bounds of Wu & He, its averages over about {RENORM_IMAGES} images; GN "
    f"has 8 groups, LN one. Error on 2,000 test images; an increase of surely less than {MATTERS:g} point counts as "
    "none.",
    measure=measure,
    judge=judge,
    draw=draw,
)
