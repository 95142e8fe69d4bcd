"""C06: error against batch size with four normalizations, the shape of figure 1 of Wu & He 2018."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import keras
from matplotlib.figure import Figure

from advisor.race.statistics import Interval, paired_difference
from benchmarks.claims.claim import Claim, Figures, Judgement, Run, Verdict
from benchmarks.claims.judging import is_above_zero
from benchmarks.claims.repeated_training import RepeatedTraining
from benchmarks.claims.residual_network import residual_network
from benchmarks.claims.several_momenta import SeveralMomenta, use_momentum
from benchmarks.claims.style import curves
from benchmarks.claims.training import TUNING_SEED, best_rate
from benchmarks.claims.wording import points
from benchmarks.datasets import Parts, parts

BATCH_SIZES = (32, 16, 8, 4, 2)
LARGEST, SMALLEST = str(BATCH_SIZES[0]), str(BATCH_SIZES[-1])
RATES = (0.05, 0.1, 0.2)
DEFAULT, *OTHERS = MOMENTA = (0.99, 0.9, 0.999)
TRAINED: dict[str, Callable[[], keras.Layer]] = {
    "BN": partial(SeveralMomenta, MOMENTA),
    "BN renorm": partial(keras.layers.BatchNormalization, renorm=True),
    "GN": partial(keras.layers.GroupNormalization, 8),
    "LN": partial(keras.layers.GroupNormalization, 1),
}
ARMS = ("BN", "BN tuned", "BN renorm", "GN", "LN")
MATTERS = 1.0


@cache
def data(samples: int) -> Parts:
    return parts("fashion_mnist", samples, 1000, 4000)


@cache
def trainer(arm: str) -> RepeatedTraining:
    def build() -> keras.Model:
        return residual_network(TRAINED[arm], (28, 28, 1), 10)

    return RepeatedTraining(build, keras.optimizers.SGD(momentum=0.9))


def train_arm(arm: str, batch_size: int, rate: float, seed: int, samples: int, epochs: int) -> dict[str, Any]:
    """Train with a rate given for 32 samples, scaled to the batch size."""
    outcome = trainer(arm).train(data(samples), batch_size, epochs, rate * batch_size / BATCH_SIZES[0], seed)
    if arm != "BN":
        return outcome
    return outcome | {"momenta": {str(momentum): _with_momentum(momentum, samples) for momentum in OTHERS}}


def _with_momentum(momentum: float, samples: int) -> dict[str, float]:
    use_momentum(trainer("BN").model, momentum)
    return {part: trainer("BN").accuracy(getattr(data(samples), part)) for part in ("validation", "test")}


def measure(run: Run) -> Figures:
    size = {"samples": 256, "epochs": 1} if run.quick else {"samples": 2048, "epochs": 5}
    rates = {arm: best_rate(run, train_arm, RATES, arm=arm, batch_size=BATCH_SIZES[0], **size) for arm in TRAINED}
    errors: dict[str, dict[str, list[float]]] = {arm: {} for arm in ARMS}
    momenta = {}
    # Seeds outside, so that a run cut short has all arms.
    for seed in run.seeds:
        for batch_size in BATCH_SIZES:
            for arm in TRAINED:
                run.cell(train_arm, arm=arm, batch_size=batch_size, rate=rates[arm], seed=seed, **size)
    for batch_size in BATCH_SIZES:
        outcomes = {
            arm: [
                run.cell(train_arm, arm=arm, batch_size=batch_size, rate=rates[arm], seed=seed, **size)
                for seed in run.seeds
            ]
            for arm in TRAINED
        }
        for arm, found in outcomes.items():
            errors[arm][str(batch_size)] = [100 - one["accuracy"] for one in found]
        chosen = run.cell(train_arm, arm="BN", batch_size=batch_size, rate=rates["BN"], seed=TUNING_SEED, **size)
        momentum = max(
            MOMENTA,
            key=lambda one: chosen["validation"] if one == DEFAULT else chosen["momenta"][str(one)]["validation"],
        )
        momenta[str(batch_size)] = momentum
        errors["BN tuned"][str(batch_size)] = [
            100 - (one["accuracy"] if momentum == DEFAULT else one["momenta"][str(momentum)]["test"])
            for one in outcomes["BN"]
        ]
    return {"rates": rates, "momenta": momenta, "errors": errors}


def growth(figures: Figures, arm: str) -> Interval:
    """By how many points the error grows from the largest to the smallest batch."""
    errors = figures["errors"][arm]
    return paired_difference(errors[SMALLEST], errors[LARGEST])


def excess(figures: Figures, arm: str, baseline: str) -> Interval:
    """By how many points more it grows than that of another arm."""
    ours, theirs = figures["errors"][arm], figures["errors"][baseline]
    small = [a - b for a, b in zip(ours[SMALLEST], theirs[SMALLEST], strict=True)]
    large = [a - b for a, b in zip(ours[LARGEST], theirs[LARGEST], strict=True)]
    return paired_difference(small, large)


def judge(figures: Figures) -> Judgement:
    grown = {arm: growth(figures, arm) for arm in ARMS}
    suffers = is_above_zero(grown["BN"], MATTERS)
    others = [is_above_zero(grown[arm], MATTERS) for arm in ("GN", "LN")]
    more = [is_above_zero(excess(figures, "BN", arm), MATTERS) for arm in ("GN", "LN")]
    result = (
        f"From batches of {LARGEST} to {SMALLEST} the error changes by "
        + ", ".join(f"{points(grown[arm])} with {arm}" for arm in ARMS)
        + f" (over {len(figures['errors']['BN'][LARGEST])} seeds); with BN by {points(excess(figures, 'BN', 'GN'))}"
        f" more than with GN and {points(excess(figures, 'BN', 'LN'))} more than with LN."
    )
    if suffers is False or False in more:
        return Judgement(Verdict.FAILS, result)
    if suffers is None or None in more:
        return Judgement(Verdict.UNDECIDED, result)
    tuned = [is_above_zero(grown[arm], MATTERS) for arm in ("BN tuned", "BN renorm")]
    if True in others:
        return Judgement(Verdict.HOLDS_WHEN, result, "it is read as: BN gets worse by more than GN and LN do")
    if False in tuned:
        return Judgement(Verdict.HOLDS_WHEN, result, "neither the momentum is tuned nor renorm is on")
    return Judgement(Verdict.UNDECIDED if None in others else Verdict.HOLDS, result)


def draw(figures: Figures, figure: Figure) -> None:
    axes = figure.subplots()
    by_seed = {
        arm: list(zip(*(figures["errors"][arm][str(size)] for size in BATCH_SIZES), strict=True)) for arm in ARMS
    }
    curves(axes, range(len(BATCH_SIZES)), by_seed)
    axes.set_xticks(range(len(BATCH_SIZES)), [str(size) for size in BATCH_SIZES])
    axes.set_xlabel("batch size (samples)")
    axes.set_ylabel("test error (%)")
    axes.legend(loc="upper left", ncols=2)


CLAIM = Claim(
    code="C06",
    statement="Batch normalization gets worse as the batch shrinks from 32 to 2; group and layer normalization do not",
    how="A residual network of three blocks on 2048 images of Fashion-MNIST, 5 epochs at each batch size, SGD with"
    " momentum and cosine decay, the learning rate scaled with the batch (Goyal et al. 2017), as Wu & He 2018 do for"
    f" their figure 1; the rate at 32 is the best of {', '.join(map(str, RATES))} on validation data for each arm. Test"
    " error on 4000 images. BN is Keras's (momentum 0.99); BN tuned has for each batch size the momentum of 0.9, 0.99"
    " and 0.999 that is best on validation data; BN renorm is Keras's with `renorm=True`; GN has 8 groups, LN one. A"
    " change that is surely less than 1 point is as good as none.",
    measure=measure,
    judge=judge,
    draw=draw,
)
