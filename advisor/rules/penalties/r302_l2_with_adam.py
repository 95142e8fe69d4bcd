"""R302: an L2 penalty under an adaptive optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, LayerFacts
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.penalties.penalties import VECTORS, l2_penalties
from advisor.rules.registry import rule

# Those that divide the gradient by a running size of it, and with it that of a penalty.
ADAPTIVE = frozenset(
    {"Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "Adafactor", "Lamb", "Lion"}
)

# Loshchilov & Hutter 2019, appendix B.1: decay per step is this divided by the root of the number of steps.
NORMALIZED_DECAY = 0.05


def decay_per_step(steps: int) -> float:
    """Decay per step, `learning_rate · weight_decay`, from which to start for a run of that many steps.

    `0.05 / √steps`, the normalized weight decay of the cited paper.

    Example:
    >>> round(decay_per_step(10_000), 6)
    0.0005
    """
    return NORMALIZED_DECAY / math.sqrt(steps)


def _model(
    penalty: keras.regularizers.Regularizer | None,
    *,
    bias: keras.regularizers.Regularizer | None = None,
    optimizer: str | keras.optimizers.Optimizer = "adam",
) -> keras.Model:
    hidden = layers.Dense(8, activation="relu", kernel_regularizer=penalty, bias_regularizer=bias)
    model = keras.Sequential([keras.Input((6,)), hidden, layers.Dense(2, kernel_regularizer=penalty)])
    model.compile(optimizer, "mse")
    return model


def _l2() -> keras.regularizers.L2:
    return keras.regularizers.L2(1e-3)


@rule
class L2WithAdam(Rule):
    """An L2 penalty is not weight decay under Adam.

    What it does:
        Finds L2 penalties on kernels in a model that is compiled with an optimizer that scales gradients by their size:
        Adam and its kin, RMSprop, Adagrad.

    Why it matters:
        The penalty λ·Σw² adds 2λw to the gradient. Under SGD that is decoupled decay with `weight_decay=2λ`. Adam
        divides it by the size of the whole gradient, so that weights with large gradients are decayed less than others,
        whatever their size, and no `weight_decay` is the same. The cited paper finds that decoupled decay (AdamW)
        generalizes better, and that its best value depends less on the learning rate.

    Example:
        ```python
        layers.Dense(64, kernel_regularizer=keras.regularizers.L2(1e-3))
        model.compile("adam", loss)
        ```

    Fix:
        None by itself, since penalty and decay would have to change at once and a decay that is too small is none: take
        the penalties off and compile with `AdamW`. Keras decays by `learning_rate · weight_decay` a step; start where
        that is 0.05 / √steps (1.6 for 1,000 steps at a learning rate of 0.001). In a short run, 2λ and Keras's default
        of 0.004 do nothing: docs/adr/0012-penalties-by-measurement.md.
    """

    code = "R302"
    name = "l2-with-adam"
    severity = Severity.INFO
    requires = frozenset({Requirement.GRAPH, Requirement.COMPILE})
    references = ("loshchilov-2019",)

    VALID = (
        Case("no penalty", lambda: _model(None)),
        Case("L1, which makes weights sparse", lambda: _model(keras.regularizers.L1(1e-3))),
        Case("L2 under SGD", lambda: _model(_l2(), optimizer="sgd")),
        Case("a bias alone, of which R303 speaks", lambda: _model(None, bias=_l2())),
    )
    INVALID = (
        Case("L2 under Adam", lambda: _model(_l2())),
        Case("L2 under RMSprop", lambda: _model(_l2(), optimizer="rmsprop")),
        Case(
            "L2 beside decoupled decay",
            lambda: _model(_l2(), optimizer=keras.optimizers.AdamW(weight_decay=0.01)),
            {"epochs": 10, "steps_per_epoch": 100},
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.model.optimizer not in ADAPTIVE:
            return
        penalized = {layer: kernels for layer in facts.layers.values() if (kernels := _kernels(facts, layer))}
        if not penalized:
            return
        factors = sorted({factor for kernels in penalized.values() for factor in kernels.values()})
        steps = facts.training.total_steps
        start = "0.05 / √steps" if steps is None else f"{decay_per_step(steps):.2g}"
        have = "layer has" if len(penalized) == 1 else "layers have"
        yield self.finding(
            *penalized,
            message=f"{len(penalized)} {have} an L2 penalty ({', '.join(f'{factor:g}' for factor in factors)}) "
            f"under {facts.model.optimizer}, which is not weight decay",
            why=f"{facts.model.optimizer} divides the gradient of the penalty by the size of the whole gradient, so "
            "that weights with large gradients are hardly decayed. Take the penalties off and use "
            f"`keras.optimizers.AdamW` with learning_rate · weight_decay of about {start}.",
        )


def _kernels(facts: Facts, layer: LayerFacts) -> dict[str, float]:
    """The L2 penalties on kernels of a layer, at its first call."""
    if not facts.graph.is_first_call(layer.path):
        return {}
    return {argument: factor for argument, factor in l2_penalties(layer).items() if argument not in VECTORS}
