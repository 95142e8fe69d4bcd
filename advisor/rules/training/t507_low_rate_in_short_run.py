"""T507: the default learning rate in a run of few steps."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Kind
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, PlanChange, Severity
from advisor.rules.normalization.linear_runs import unnormalized_runs
from advisor.rules.normalization.n105_no_normalization import SHORTEST_RUNS
from advisor.rules.registry import rule

USUAL = 1e-3
"""Keras's default for Adam; who took another one may know why."""

RAISED = 3e-3
"""Gained in every network without normalization that was measured; ten times the default gained more or lost."""

FEW_STEPS = 200
"""From here on little is lost by the default rate: docs/adr/0024."""

FEW_STEPS_OF_RECURRENT = 800
"""Recurrent networks were measured no longer, and were still behind."""

OPTIMIZERS = frozenset({"Adam", "AdamW"})


def _model(*hidden: keras.Layer, optimizer: str | keras.optimizers.Optimizer = "adam") -> keras.Model:
    model = keras.Sequential([keras.Input((8, 3)), *hidden, layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def _perceptron(
    *norm: keras.Layer, optimizer: str | keras.optimizers.Optimizer = "adam", hidden: int = 1
) -> keras.Model:
    return _model(*(layers.Dense(16, activation="relu") for _ in range(hidden)), *norm, optimizer=optimizer)


SHORT = {"batch_size": 32, "steps_per_epoch": 20, "epochs": 5}


@rule
class LowRateInShortRun(Rule):
    """Few steps at a learning rate that is made for many.

    What it does:
        Speaks where fewer than 200 steps, or 800 with a recurrent layer, are planned with Adam or AdamW at their
        default rate of 0.001, in a network without normalization, and to which no other rule adds some: fewer than 3
        convolutions or 4 dense layers in a row, one recurrent layer at most, no attention. Trained models and rates
        that are scheduled, or not the default, are left alone.

    Why it matters:
        Adam moves a weight by about its learning rate in each step, whatever the gradient. In 100 steps of 0.001 no
        weight goes farther than about 0.1, and the run is over before the network is trained. At 0.003, networks
        without normalization were better by 3 to 20 points of test accuracy after 50 steps and by 2 to 18 after 100,
        and lost next to nothing later; recurrent ones were still ahead by 4 to 15 after 800. Of those with
        normalization some gained and some lost (docs/adr/0024).

    Example:
        ```python
        model.compile("adam", loss)
        model.fit(x_of_1000_samples, y, batch_size=64, epochs=5)
        ```

    Fix:
        No change to the model. The training plan compiles with a learning rate of 0.003.
    """

    code = "T507"
    name = "low-rate-in-short-run"
    severity = Severity.INFO
    requires = frozenset({Requirement.COMPILE, Requirement.STEPS})
    references = ("kingma-2015",)

    VALID = (
        Case("200 steps", _perceptron, {**SHORT, "epochs": 10}),
        Case("a rate of one's own", lambda: _perceptron(optimizer=keras.optimizers.Adam(1e-4)), SHORT),
        Case("SGD, whose steps follow the gradient", lambda: _perceptron(optimizer="sgd"), SHORT),
        Case(
            "a schedule",
            lambda: _perceptron(optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 100))),
            SHORT,
        ),
        Case("normalized", lambda: _perceptron(layers.BatchNormalization()), SHORT),
        Case("soon normalized (N105)", lambda: _perceptron(hidden=4), SHORT),
        Case("attention", lambda: _attention(), SHORT),
    )
    INVALID = (
        Case("a perceptron", _perceptron, SHORT),
        Case("one recurrent layer", lambda: _model(layers.LSTM(8)), {**SHORT, "epochs": 30}),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        model, steps = facts.model, facts.training.total_steps
        rate = model.learning_rate
        few = FEW_STEPS_OF_RECURRENT if any(facts.of_kind(Kind.RECURRENT)) else FEW_STEPS
        if steps is None or steps >= few or model.trained is not None or rate is None:
            return
        is_default = (
            model.optimizer in OPTIMIZERS and not rate.scheduled and math.isclose(rate.peak, USUAL, rel_tol=1e-6)
        )
        if not is_default or _is_normalized(facts):
            return
        yield self.finding(
            message=f"{model.optimizer} at {USUAL:g} moves no weight by much more than {steps * USUAL:.2g} in "
            f"{steps} steps",
            why="The run ends before the network is trained.",
            plan=(PlanChange("learning_rate", {"learning_rate": RAISED}, f"train with a learning rate of {RAISED:g}"),),
        )


def _attention() -> keras.Model:
    inputs = keras.Input((8, 4))
    attended = layers.MultiHeadAttention(2, 2)(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(attended)))
    model.compile("adam", "mse")
    return model


def _is_normalized(facts: Facts) -> bool:
    """Whether there is normalization, or other rules will bring some (N105, N108, N111)."""
    if any(facts.of_kind(Kind.NORM)) or any(facts.of_kind(Kind.ATTENTION)):
        return True
    if len(list(facts.of_kind(Kind.RECURRENT))) > 1:
        return True
    return any(
        run.length >= shortest for family, shortest, _ in SHORTEST_RUNS for run in unnormalized_runs(facts, family)
    )
