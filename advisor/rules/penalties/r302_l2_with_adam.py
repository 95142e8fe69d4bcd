"""R302: an L2 penalty under an adaptive optimizer."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, LayerFacts
from advisor.graph import Configure
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Fix, PlanChange, Severity
from advisor.rules.penalties.penalties import VECTORS, l2_penalties
from advisor.rules.registry import rule

DECAY = 0.004
"""Keras's own default for `AdamW`, to start from; docs/adr/0012-l2-and-weight-decay.md measures others."""

# Those that divide the gradient by a running size of it, and with it that of a penalty.
ADAPTIVE = frozenset(
    {"Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "Adafactor", "Lamb", "Lion"}
)


def _model(
    penalty: keras.regularizers.Regularizer | None,
    *,
    bias: keras.regularizers.Regularizer | None = None,
    optimizer: str | keras.optimizers.Optimizer | None = "adam",
) -> keras.Model:
    hidden = layers.Dense(8, activation="relu", kernel_regularizer=penalty, bias_regularizer=bias)
    model = keras.Sequential([keras.Input((6,)), hidden, layers.Dense(2, kernel_regularizer=penalty)])
    if optimizer is not None:
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
        The penalty λ·Σw² adds 2λw to the gradient. Under SGD that is decoupled decay with `weight_decay=2λ`. Adam divides
        it by the size of the whole gradient, so that weights with large gradients are decayed less than others, whatever
        their size, and no `weight_decay` is the same. The cited paper finds that decoupled decay (AdamW) generalizes
        better, and that its best value no longer depends on the learning rate.

    Example:
        ```python
        layers.Dense(64, kernel_regularizer=keras.regularizers.L2(1e-3))
        model.compile("adam", loss)
        ```

    Fix:
        Takes the L2 penalties off the kernels, and the training plan compiles with decoupled weight decay in their
        place (Adam becomes AdamW): 0.004, Keras's default, to be tuned in steps of 3 to 10. The two belong together:
        train the rewritten model by `advice.fit`, or compile it by `advice.plan`. Penalties with an L1 part stay.
        Safety: retrain. On a model that looks trained neither is done.
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
        Case("L2 under Adam", lambda: _model(_l2()), expected=lambda: _model(None)),
        Case("L2 under RMSprop", lambda: _model(_l2(), optimizer="rmsprop"), expected=lambda: _model(None)),
        Case(
            "L2 beside decoupled decay",
            lambda: _model(_l2(), optimizer=keras.optimizers.AdamW(weight_decay=0.01)),
            expected=lambda: _model(None),
        ),
        Case("a model that is trained already", lambda: _model(_l2()), {"trained": True}),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.model.optimizer not in ADAPTIVE:
            return
        penalized = {layer: kernels for layer in facts.layers.values() if (kernels := _kernels(facts, layer))}
        if not penalized:
            return
        factors = sorted({factor for kernels in penalized.values() for factor in kernels.values()})
        replaced = facts.model.trained is None and not any(facts.graph.refusal(layer.path) for layer in penalized)
        edits = tuple(Configure(layer.path, dict.fromkeys(kernels)) for layer, kernels in penalized.items())
        decays_already = facts.model.weight_decay is not None
        change = PlanChange("weight_decay", {"weight_decay": DECAY}, f"train with decoupled weight decay of {DECAY}")
        yield self.finding(
            *penalized,
            message=f"{len(penalized)} layers have an L2 penalty ({', '.join(f'{factor:g}' for factor in factors)}) under "
            f"{facts.model.optimizer}, which is not weight decay",
            why=f"{facts.model.optimizer} divides the gradient of the penalty by the size of the whole gradient, so "
            "that weights with large gradients are hardly decayed. Under SGD, `weight_decay=2λ` would be the same as the "
            "penalty; here none is."
            + ("" if replaced else f" When it is trained anew, use AdamW (`weight_decay={DECAY}`) and no L2."),
            fix=Fix(
                f"take the L2 penalties off {len(edits)} layers; decay is the optimizer's, as the training plan has it",
                edits,
                "retrain",
            )
            if replaced
            else None,
            plan=(change,) if replaced and not decays_already else (),
        )


def _kernels(facts: Facts, layer: LayerFacts) -> dict[str, float]:
    """The L2 penalties on kernels of a layer, at its first call."""
    if facts.graph.calls_of(layer.path)[0] != layer.path:
        return {}
    return {argument: factor for argument, factor in l2_penalties(layer).items() if argument not in VECTORS}
