"""R304: a penalty that outweighs the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, Kind, LayerFacts, Measurement
from advisor.graph import Configure
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Confidence, Finding, Fix, Severity
from advisor.rules.registry import rule
from advisor.rules.wording import named

STRONG = {"l1": 1e-3, "l2": 1e-2}
"""Factors from which on a penalty is suspect when nothing is measured."""

PLAIN = {"l1": 1e-5, "l2": 1e-4}
"""Factors that are usual."""

# Measured: docs/adr/0014-learning-curves-and-first-steps.md.
DOMINATES = 0.5
LOWERED_TO = 0.1


def _model(regularizer: Any = None, *, penalized: bool = True) -> keras.Model:
    hidden = layers.Dense(32, activation="relu", kernel_regularizer=regularizer if penalized else None)
    model = keras.Sequential([keras.Input((6,)), hidden, layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def _wide(regularizer: Any) -> keras.Model:
    hidden = layers.Dense(128, activation="relu", kernel_initializer="he_normal", kernel_regularizer=regularizer)
    model = keras.Sequential([keras.Input((6,)), hidden, layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def _samples() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(64, 6)).astype("float32"), generator.integers(0, 2, 64)


@rule
class DominatingPenalty(Rule):
    """A penalty on the weights that outweighs the loss.

    What it does:
        Where data with labels is given, measures the penalties of the untrained model against its loss, and speaks
        where they are more than half of it. Without data it speaks of factors of 0.01 and more for L2 and 0.001 and
        more for L1; where the measurement contradicts that, it says so and changes nothing. Layers whose weights a
        normalization rescales anyway do not count: a penalty cannot shrink what they compute.

    Why it matters:
        Training lowers the sum of loss and penalty. While the penalty is a large part of it, the steps go where the
        weights shrink, not where the model fits, and the model underfits. Keras's `"l2"` means a factor of 0.01, a
        hundred times what image classifiers are trained with.

    Example:
        ```python
        layers.Dense(512, activation="relu", kernel_regularizer="l2")  # a factor of 0.01
        ```

    Fix:
        Lowers the factors to 1e-4 for L2 and 1e-5 for L1, or further where the measured penalty would still be more
        than a tenth of the loss; weights are kept. Safety: retrain.
    """

    code = "R304"
    name = "dominating-penalty"
    severity = Severity.WARNING
    references = ("krogh-1991", "he-2019")
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("a usual factor", lambda: _model(keras.regularizers.L2(1e-4))),
        Case("no penalty", lambda: _model(penalized=False)),
        Case("a usual factor, measured", lambda: _model(keras.regularizers.L2(1e-4)), {"data": _samples}),
    )
    INVALID = (
        Case("Keras's default", lambda: _model("l2"), expected=lambda: _model(keras.regularizers.L2(1e-4))),
        Case("L1", lambda: _model("l1"), expected=lambda: _model(keras.regularizers.L1(1e-5))),
        Case(
            "both",
            lambda: _model(keras.regularizers.L1L2(1e-6, 0.05)),
            expected=lambda: _model(keras.regularizers.L1L2(1e-6, 1e-4)),
        ),
        Case("measured and found harmless", lambda: _model("l2"), {"data": _samples}),
        Case(
            "measured and found to dominate",
            lambda: _wide(keras.regularizers.L2(1e-2)),
            {"data": _samples},
            expected=lambda: _wide(keras.regularizers.L2(1e-4)),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        penalized = [penalty for layer in facts.layers.values() for penalty in _penalties(facts, layer)]
        if not penalized:
            return
        measured = _measured(facts, penalized)
        strong = [penalty for penalty in penalized if penalty.is_strong]
        if measured is None:
            if strong:
                yield self._dominating(strong, None)
        elif measured.value > DOMINATES:
            yield self._dominating(penalized, measured)
        elif strong:
            yield self._contradicted(strong, measured)

    def _contradicted(self, strong: list[_Penalty], measured: Measurement) -> Finding:
        return self.finding(
            *_paths(strong),
            message=f"the penalty of {named(_paths(strong))} is strong by rule of thumb, but on this data all "
            f"penalties together start at {measured.value:.2g} of the loss: it may stay",
            why="The loss falls in training, and the penalty's share grows; watch that the training loss gets low.",
            measurements=(measured,),
            severity=Severity.INFO,
        )

    def _dominating(self, penalized: list[_Penalty], measured: Measurement | None) -> Finding:
        share = 1.0 if measured is None else LOWERED_TO / measured.value
        edits = [penalty.lowered(share) for penalty in penalized]
        return self.finding(
            *_paths(penalized),
            message=f"the penalty of {named(_paths(penalized))} "
            + (
                "is a hundred times what is usual"
                if measured is None
                else f"starts at {measured.value:.2g} times the loss"
            ),
            why="Training shrinks the weights before it fits the data, and the model underfits.",
            measurements=() if measured is None else (measured,),
            fix=Fix(f"lower the penalty of {named(_paths(penalized))}", tuple(edits), "retrain"),
        )


@dataclass(frozen=True, eq=False)
class _Penalty:
    """An L1 or L2 penalty on one variable of a layer."""

    layer: LayerFacts
    argument: str
    regularizer: Mapping[str, Any]

    @property
    def factors(self) -> dict[str, float]:
        return {name: float(value) for name, value in self.regularizer["config"].items() if name in STRONG and value}

    @property
    def is_strong(self) -> bool:
        # What a float32 rounds 0.01 to is still 0.01.
        return any(factor >= STRONG[name] * (1 - 1e-6) for name, factor in self.factors.items())

    def lowered(self, share: float) -> Configure:
        factors = {name: _round_down(min(PLAIN[name], factor * share, factor)) for name, factor in self.factors.items()}
        config = {**self.regularizer["config"], **factors}
        return Configure(self.layer.path, {self.argument: {**self.regularizer, "config": config}})


def _penalties(facts: Facts, layer: LayerFacts) -> Iterator[_Penalty]:
    if not layer.trainable or layer.wrapper is not None or not facts.graph.is_first_call(layer.path):
        return
    if layer.unbound_regularizers or not layer.has_penalty or _is_rescaled(facts, layer):
        return
    for argument, regularizer in layer.config.items():
        is_plain = isinstance(regularizer, Mapping) and regularizer.get("class_name") in {"L1", "L2", "L1L2"}
        if argument.endswith("kernel_regularizer") and is_plain and regularizer.get("module") == "keras.regularizers":
            yield _Penalty(layer, argument, regularizer)


def _is_rescaled(facts: Facts, layer: LayerFacts) -> bool:
    """Whether a normalization reads the layer, so that the size of its weights does not matter."""
    consumer = facts.sole_consumer(layer.path)
    return layer.is_linear and consumer is not None and consumer.kind is Kind.NORM


def _measured(facts: Facts, penalized: list[_Penalty]) -> Measurement | None:
    """Penalties of these layers to the loss; None without data, and for a trained model, whose loss is small."""
    if facts.model.trained is not None:
        return None
    parts = [facts.measure("penalty_ratio", path) for path in _paths(penalized)]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return replace(known[0], value=sum(part.value for part in known), threshold=DOMINATES)


def _paths(penalized: list[_Penalty]) -> list[str]:
    return list(dict.fromkeys(penalty.layer.path for penalty in penalized))


def _round_down(factor: float) -> float:
    """One significant digit."""
    unit = 10.0 ** math.floor(math.log10(factor))
    return float(f"{math.floor(factor / unit + 1e-9) * unit:.0e}")
