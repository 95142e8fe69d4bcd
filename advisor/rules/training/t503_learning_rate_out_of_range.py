"""T503: a learning rate far outside the range of its optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, Kind, Measurement
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Confidence, Finding, Severity
from advisor.rules.registry import rule


@dataclass(frozen=True)
class Range:
    """Learning rates with which an optimizer has been trained well.

    Attributes:
        lowest: Anything below trains next to nothing.
        usual: What to start from.
        highest: Anything above destroys the weights.
    """

    lowest: float
    usual: float
    highest: float


# An adaptive step moves every weight by about the learning rate, whatever the gradient; weights are about 0.01 to 0.1.
# The lowest rates in use are those of fine-tuning (BERT: 2e-5, after that layer-wise decay), the highest those of
# Keras's own examples times three.
_ADAPTIVE = Range(1e-7, 1e-3, 3e-2)
RANGES = {
    **dict.fromkeys(("Adam", "AdamW", "Nadam", "RMSprop"), _ADAPTIVE),
    "Adamax": Range(1e-7, 2e-3, 6e-2),
    # Lion's step is the sign times the rate: three to ten times smaller rates than Adam's.
    "Lion": Range(1e-8, 1e-4, 3e-3),
    # Of the effective rate, learning rate / (1 - momentum): 0.1 with momentum 0.9 is that of He et al. 2016; batches of
    # 8192 take 3.2 with momentum 0.9 after a warm-up (Goyal et al. 2017).
    "SGD": Range(1e-6, 1e-2, 50.0),
    # Steps shrink with the sum of all squared gradients, so that large first rates do no lasting harm.
    "Adagrad": Range(1e-6, 1e-2, 3.0),
}


# The loss after 5 steps is this many times what it was: in `python -m benchmarks.first_steps` no run that learned
# anything began so, and all that began so learned nothing.
BURST = 2.0


def _model(optimizer: keras.optimizers.Optimizer | str | None) -> keras.Model:
    return _compiled(
        keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(2)]), optimizer
    )


def _linear(optimizer: keras.optimizers.Optimizer) -> keras.Model:
    return _compiled(keras.Sequential([keras.Input((6,)), layers.Dense(1)]), optimizer)


def _data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    return x, x[:, :2] + 5.0


def _compiled(model: keras.Model, optimizer: keras.optimizers.Optimizer | str | None) -> keras.Model:
    if optimizer is not None:
        model.compile(optimizer, "mse")
    return model


def _cosine(peak: float) -> keras.optimizers.schedules.LearningRateSchedule:
    return keras.optimizers.schedules.CosineDecay(1e-8, 10_000, warmup_target=peak, warmup_steps=1_000)


@rule
class LearningRateOutOfRange(Rule):
    """A learning rate with which the optimizer cannot train.

    What it does:
        Compares the learning rate, of a schedule the largest one, with the range in which the optimizer is known to
        train: up to 0.03 for Adam and its kin and RMSprop, 0.003 for Lion, 3 for Adagrad; for SGD it is the effective
        rate, learning rate / (1 - momentum), up to 50. Rates below 1e-7 (Adam) or 1e-6 (SGD) train next to nothing.
        Adafactor, Adadelta and Ftrl scale their steps themselves and are left alone, and so are
        high rates in linear models. Where data with labels is given, 5 steps are taken on a copy: if a constant rate
        that is called too high lowers the loss, that is said, and it is no warning; if a rate within the range makes
        the loss more than twice as large, it is reported all the same.

    Why it matters:
        No other number matters as much. Adam moves every weight by about the learning rate, whatever the gradient: at
        0.1, weights that are 0.05 large are gone after one step, units die, and the loss stays where guessing puts it.
        At 1e-8 a weight takes millions of steps to change.

    Example:
        ```python
        model.compile(keras.optimizers.Adam(0.1), loss)
        ```

    Fix:
        Advice only: start from 1e-3 for Adam, 1e-4 for Lion, 1e-2 for SGD with momentum 0.9, and try factors of three.
    """

    code = "T503"
    name = "learning-rate-out-of-range"
    severity = Severity.WARNING
    requires = frozenset({Requirement.COMPILE})
    references = ("smith-2017", "kingma-2015", "chen-2023", "goyal-2017")
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("Keras's default", lambda: _model("adam")),
        Case("fine-tuning", lambda: _model(keras.optimizers.AdamW(1e-6))),
        Case("a large batch", lambda: _model(keras.optimizers.SGD(3.2, momentum=0.9))),
        Case("a schedule that is warmed up from next to nothing", lambda: _model(keras.optimizers.Adam(_cosine(1e-3)))),
        Case("Adadelta at 1", lambda: _model(keras.optimizers.Adadelta(1.0))),
        Case("a linear model", lambda: _linear(keras.optimizers.Adam(0.1))),
        Case("a rate of 0, on purpose", lambda: _model(keras.optimizers.SGD(0.0))),
    )
    INVALID = (
        Case("Adam at 0.1", lambda: _model(keras.optimizers.Adam(0.1))),
        Case("SGD with momentum at 10", lambda: _model(keras.optimizers.SGD(10.0, momentum=0.9))),
        Case("Lion at Adam's high end", lambda: _model(keras.optimizers.Lion(1e-2))),
        Case("a schedule that goes too high", lambda: _model(keras.optimizers.Adam(_cosine(0.3)))),
        Case("Adam at 0.1, which does at first", lambda: _model(keras.optimizers.Adam(0.1)), {"data": _data}),
        Case(
            "SGD at 20, within the range, which this network does not bear",
            lambda: _model(keras.optimizers.SGD(20.0)),
            {"data": _data},
        ),
        Case("Adam at 1e-9", lambda: _model(keras.optimizers.Adam(1e-9))),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        rate, optimizer = facts.model.learning_rate, facts.model.optimizer
        if rate is None or optimizer not in RANGES or rate.peak == 0:
            return
        known = RANGES[optimizer]
        momentum = facts.model.momentum if optimizer == "SGD" else 0.0
        effective = rate.peak / (1 - momentum) if momentum < 1 else rate.peak
        measured = facts.measure("loss_after_steps", "")
        if known.lowest <= effective <= known.highest:
            if measured is not None and measured.value > BURST and effective > known.usual:
                yield self._bursting(rate.peak, known.usual, measured)
            return
        too_high = effective > known.highest
        if too_high and _is_linear(facts):
            return
        # The first steps of a rate that is warmed up say nothing of its height.
        learns = too_high and measured is not None and measured.value < 1 and rate.initial > rate.peak / 2
        what = f"{rate.peak:g}" + (f" with momentum {momentum:g}, in effect {effective:g}," if momentum else "")
        limit = f"above the {known.highest:g}" if too_high else f"below the {known.lowest:g}"
        yield self.finding(
            message=f"the learning rate of {optimizer} is {what} {limit} with which it is known to train"
            + (", though its first steps lower the loss" if learns else "")
            + f": start from {known.usual:g}",
            why="Steps this large throw the weights away." if too_high else "Steps this small change nothing.",
            measurements=() if measured is None else (replace(measured, threshold=1.0),),
            severity=Severity.INFO if learns else None,
        )

    def _bursting(self, rate: float, usual: float, measured: Measurement) -> Finding:
        return self.finding(
            message=f"with the learning rate {rate:g} the first 5 steps make the loss {measured.value:.1f} times as "
            f"large: start from {usual:g}",
            why="The optimizer is known to train with such rates, but this network on this data does not bear them.",
            measurements=(replace(measured, threshold=BURST),),
        )


def _is_linear(facts: Facts) -> bool:
    """Whether one layer has all the weights, so that the loss has one minimum and large steps find it."""
    return (
        sum(layer.params > 0 and layer.trainable and layer.kind is not Kind.NORM for layer in facts.layers.values()) < 2
    )
