"""R305: few samples per weight and no decay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Confidence, Finding, PlanChange, Severity
from advisor.rules.registry import rule

SAMPLES_PER_WEIGHT = 1.0
"""With this many training samples per trainable weight, no decay is asked for."""

DECAY = 1e-4


def _samples(count: int) -> dict[str, Any]:
    def data() -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(0)
        return generator.normal(size=(count, 6)).astype("float32"), generator.integers(0, 2, count)

    return {"data": data, "batch_size": 16}


def _model(
    *, units: int = 32, penalty: str | None = None, optimizer: Any = "adam", trainable: bool = True
) -> keras.Model:
    hidden = layers.Dense(units, activation="relu", kernel_regularizer=penalty, trainable=trainable)
    model = keras.Sequential([keras.Input((6,)), hidden, layers.Dense(2, activation="softmax")])
    if optimizer is not None:
        model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


@rule
class NoWeightDecay(Rule):
    """There are fewer training samples than weights, and nothing keeps the weights small.

    What it does:
        Counts training samples per trainable weight. Below one, it looks for any penalty on a layer and for weight
        decay in the optimizer, and asks for decay where there is neither.

    Why it matters:
        With fewer samples than weights, many weight vectors fit the data equally well. Decay picks the smallest of
        them, which suppresses what the data does not determine and part of the noise in the targets.

    Example:
        ```python
        model.compile("adam", loss)  # 250,000 weights, 2,000 samples, no weight_decay
        ```

    Fix:
        No change to the model. The training plan compiles with decoupled weight decay of 1e-4 (Adam becomes AdamW),
        biases, normalization weights and embeddings excluded.
    """

    code = "R305"
    name = "no-weight-decay"
    severity = Severity.INFO
    requires = frozenset({Requirement.GRAPH, Requirement.SAMPLES})
    references = ("krogh-1991", "loshchilov-2019", "he-2019")
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("a penalty on a layer", lambda: _model(penalty="l2"), _samples(64)),
        Case(
            "decay in the optimizer", lambda: _model(optimizer=keras.optimizers.AdamW(weight_decay=1e-3)), _samples(64)
        ),
        Case("more samples than weights", lambda: _model(units=4), _samples(128)),
        Case("most weights frozen", lambda: _model(trainable=False), _samples(80)),
    )
    INVALID = (
        Case("290 weights, 64 samples", lambda: _model(), _samples(64)),
        Case("not compiled yet", lambda: _model(optimizer=None), _samples(64)),
        Case("SGD without decay", lambda: _model(optimizer="sgd"), _samples(32)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.data is None or facts.data.samples is None or facts.model.weight_decay is not None:
            return
        # A dead regularizer (R301) is meant as decay, and is decay once it is bound.
        if any(layer.has_penalty or layer.unbound_regularizers for layer in facts.layers.values()):
            return
        weights = _trainable_weights(facts)
        if facts.data.samples >= SAMPLES_PER_WEIGHT * weights:
            return
        change = PlanChange("weight_decay", {"weight_decay": DECAY}, f"train with decoupled weight decay of {DECAY}")
        yield self.finding(
            message=f"{facts.data.samples:,} training samples for {weights:,} trainable weights "
            f"({facts.data.samples / weights:.2g} per weight), and no weight decay or penalty anywhere",
            why="Many weight vectors fit so few samples; decay picks a small one, which generalizes better.",
            plan=(change,),
        )


def _trainable_weights(facts: Facts) -> int:
    return sum(
        layer.params
        for layer in facts.layers.values()
        # A layer that hides others stands beside them in the list and would count their weights again.
        if layer.trainable and layer.path not in facts.graph.scopes and facts.graph.is_first_call(layer.path)
    )
