"""R303: decay on biases, scales and offsets."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts
from advisor.graph import Configure
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Fix, PlanChange, Severity
from advisor.rules.penalties.penalties import VECTORS, l2_penalties
from advisor.rules.registry import rule


def _model(
    *,
    bias: keras.regularizers.Regularizer | None = None,
    gamma: keras.regularizers.Regularizer | None = None,
    kernel: keras.regularizers.Regularizer | None = None,
) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, kernel_regularizer=kernel, use_bias=False),
            layers.BatchNormalization(gamma_regularizer=gamma),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, kernel_regularizer=kernel, bias_regularizer=bias),
        ]
    )


def _decaying(*, excluded: list[str] | None) -> keras.Model:
    model = _model()
    optimizer = keras.optimizers.AdamW(weight_decay=0.01)
    optimizer.exclude_from_weight_decay(var_names=excluded)
    model.compile(optimizer, "mse")
    return model


def _recurrent(bias: keras.regularizers.Regularizer | None) -> keras.Model:
    hidden = layers.Bidirectional(layers.LSTM(4, bias_regularizer=bias))
    return keras.Sequential([keras.Input((5, 3)), hidden, layers.Dense(2)])


@rule
class DecayedBias(Rule):
    """Weight decay works on biases, scales or offsets.

    What it does:
        Finds L2 penalties on the bias of a layer and on gamma and beta of a normalization, and an optimizer with weight
        decay from which these are not excluded.

    Why it matters:
        Decay keeps a function from bending more than the data asks for, and a bias bends nothing: pulled to 0, it only
        puts the outputs off. Gamma pulled to 0 shrinks whole channels. The cited paper takes decay off all of them
        among the refinements for large batches ("no bias decay", section 3.1). An L1 penalty on gamma, by which
        channels are pruned, is left alone.

    Example:
        ```python
        layers.Dense(64, kernel_regularizer="l2", bias_regularizer="l2")
        model.compile(keras.optimizers.AdamW(weight_decay=0.01), loss)  # decays the biases, too
        ```

    Fix:
        Makes the layer without that penalty. Safety: retrain. For an optimizer, the training plan compiles one of the
        same decay that leaves biases, normalizations and embeddings out.
    """

    code = "R303"
    name = "decayed-bias"
    severity = Severity.INFO
    references = ("he-2019",)

    VALID = (
        Case("L2 on kernels only", lambda: _model(kernel=keras.regularizers.L2(1e-4))),
        Case("L1 on gamma, for pruning", lambda: _model(gamma=keras.regularizers.L1(1e-4))),
        Case("excluded from the optimizer's decay", lambda: _decaying(excluded=["bias", "gamma", "beta"])),
    )
    INVALID = (
        Case(
            "L2 on a bias",
            lambda: _model(bias=keras.regularizers.L2(1e-4), kernel=keras.regularizers.L2(1e-4)),
            expected=lambda: _model(kernel=keras.regularizers.L2(1e-4)),
        ),
        Case("L2 on gamma", lambda: _model(gamma=keras.regularizers.L2(1e-4)), expected=lambda: _model()),
        Case(
            "in a recurrent layer",
            lambda: _recurrent(keras.regularizers.L1L2(l2=1e-3)),
            expected=lambda: _recurrent(None),
        ),
        Case("an optimizer that decays everything", lambda: _decaying(excluded=None)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for layer in facts.layers.values():
            if not facts.graph.is_first_call(layer.path):
                continue
            penalized = sorted(VECTORS & l2_penalties(layer).keys())
            if penalized:
                names = " and ".join(f"`{argument}`" for argument in penalized)
                yield self.finding(
                    layer,
                    message=f"`{layer.path}` has an L2 penalty as its {names}",
                    why="Pulling biases, scales and offsets to 0 prevents no overfitting; it only shifts the outputs.",
                    fix=Fix(
                        f"take the {names} off `{layer.path}`",
                        (Configure(layer.path, dict.fromkeys(penalized)),),
                        "retrain",
                    ),
                )
        if facts.model.decayed_vectors and facts.model.weight_decay is not None:
            yield self._optimizer_finding(facts, facts.model.weight_decay)

    def _optimizer_finding(self, facts: Facts, decay: float) -> Finding:
        return self.finding(
            message=f"the weight decay {decay:g} of {facts.model.optimizer} works on "
            f"{len(facts.model.decayed_vectors)} biases, scales and offsets",
            why="Keras's optimizers decay every variable unless told otherwise by `exclude_from_weight_decay`.",
            plan=(
                PlanChange(
                    "weight_decay",
                    {"weight_decay": decay},
                    f"train with the same decay of {decay:g}, but not on biases, scales and offsets",
                ),
            ),
        )
