"""D207: recurrent layers on few samples without dropout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, Kind, LayerFacts
from advisor.graph import Configure
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.dropout.d206_dense_head_without_dropout import WEIGHTS_PER_SAMPLE, rate_for
from advisor.rules.dropout.places import is_active
from advisor.rules.exposure import is_too_short_to_overfit
from advisor.rules.finding import Confidence, Finding, Fix, Severity
from advisor.rules.registry import rule

_DROPOUT_ARGUMENTS = ("dropout", "recurrent_dropout")
# Beside a recurrent layer, past these, dropout works on what it reads or gives.
_PASSED = frozenset({Kind.NORM, Kind.ACTIVATION, Kind.RESHAPE, Kind.DROPOUT})


def _samples(count: int, *, labels_per_step: bool = False) -> dict[str, Any]:
    def data() -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(0)
        labels = generator.integers(0, 2, (count, 10) if labels_per_step else count)
        return generator.normal(size=(count, 10, 4)).astype("float32"), labels

    return {"data": data, "batch_size": 16}


def _model(*inner: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((10, 4)), *inner, layers.Dense(2, activation="softmax")])


@rule
class RecurrentWithoutDropout(Rule):
    """Recurrent layers with more weights than there are training samples have no dropout.

    What it does:
        Counts the trainable weights of all recurrent layers and divides them by the number of training samples (of
        labels, where there is one for every step). From one weight per sample on it asks for dropout, unless there is
        some in these layers or right beside them, or the run is planned to end before 20 epochs (D206).

    Why it matters:
        A recurrent layer sees the same weights at every step and learns small sets by heart, as a dense head does
        (D206). The cited paper drops the same inputs at every step, which is what the argument `dropout` does, and
        overfits less on small sets of text than without or with a new draw at each step.

    Example:
        ```python
        layers.Embedding(10_000, 64), layers.LSTM(64), layers.Dense(2, activation="softmax")  # on 2000 reviews
        ```

    Fix:
        Sets `dropout` of the layers to 0.2 + 0.1·log10(weights per sample), at least 0.2 and at most 0.5, in both
        directions of a `Bidirectional`. The fused kernel (cuDNN) stays in use. `recurrent_dropout` goes further and
        gives it up, so it is left to you, as is an `RNN` around a cell, whose cell has the argument. Safety: retrain.
    """

    code = "D207"
    name = "recurrent-without-dropout"
    severity = Severity.INFO
    requires = frozenset({Requirement.GRAPH, Requirement.SAMPLES})
    references = ("gal-2016",)
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("dropout on the layer", lambda: _model(layers.LSTM(8, dropout=0.2)), _samples(32)),
        Case("dropout on its inputs", lambda: _model(layers.SpatialDropout1D(0.2), layers.GRU(8)), _samples(32)),
        Case("dropout on its outputs", lambda: _model(layers.LSTM(8), layers.Dropout(0.5)), _samples(32)),
        Case("more samples than weights", lambda: _model(layers.LSTM(4)), _samples(160)),
        Case(
            "a label for every step",
            lambda: _model(layers.LSTM(8, return_sequences=True)),
            _samples(64, labels_per_step=True),
        ),
        Case("frozen", lambda: _model(layers.LSTM(8, trainable=False)), _samples(32)),
    )
    INVALID = (
        Case(
            "416 weights, 32 samples",
            lambda: _model(layers.LSTM(8)),
            _samples(32),
            expected=lambda: _model(layers.LSTM(8, dropout=0.3)),
        ),
        Case(
            "two layers in both directions",
            lambda: _model(
                layers.Bidirectional(layers.GRU(4, return_sequences=True)), layers.Bidirectional(layers.GRU(4))
            ),
            _samples(64),
            expected=lambda: _model(
                layers.Bidirectional(layers.GRU(4, return_sequences=True, dropout=0.3)),
                layers.Bidirectional(layers.GRU(4, dropout=0.3)),
            ),
        ),
        Case("a cell of its own", lambda: _model(layers.RNN(layers.LSTMCell(8))), _samples(32)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if is_too_short_to_overfit(facts):
            return
        recurrent = [
            layer
            for layer in facts.of_kind(Kind.RECURRENT)
            if layer.trainable and facts.graph.is_first_call(layer.path)
        ]
        if not recurrent or any(_has_dropout(facts, layer) for layer in recurrent):
            return
        weights, labels = sum(layer.params for layer in recurrent), _labels(facts)
        ratio = weights / labels
        if ratio < WEIGHTS_PER_SAMPLE:
            return
        rate = rate_for(ratio)
        edits = tuple(Configure(layer.path, {"dropout": rate}) for layer in recurrent if "dropout" in layer.config)
        by_hand = [layer.path for layer in recurrent if "dropout" not in layer.config]
        names = ", ".join(f"`{layer.path}`" for layer in recurrent)
        verb = "have" if len(recurrent) > 1 else "has"
        yield self.finding(
            *recurrent,
            message=f"{names} {verb} {weights:,} weights for {labels:,} labels of training data ({ratio:.3g} each) and "
            "no dropout",
            why="The same weights work at every step, and so many of them can learn the sequences by heart."
            + (f" Give the cell of `{by_hand[0]}` `dropout={rate}` by hand." if by_hand else "")
            + " If that is not enough, add `recurrent_dropout`, without which the fused kernel runs and with which it "
            "cannot.",
            fix=Fix(f"set dropout={rate} on {len(edits)} recurrent layers", edits, "retrain") if edits else None,
        )


def _labels(facts: Facts) -> int:
    """How many labels the data has, steps counted where each has its own."""
    assert facts.data is not None
    assert facts.data.samples is not None
    shape = facts.data.target.shape if facts.data.target else ()
    per_step = any(len(facts[head.path].output_shape) == 3 for head in facts.model.heads)
    return max(facts.data.samples, 1) * (shape[0] or 1 if per_step and shape else 1)


def _has_dropout(facts: Facts, layer: LayerFacts) -> bool:
    rates = {**layer.config, **_cell_of(layer)}
    if any(rates.get(name) for name in _DROPOUT_ARGUMENTS):
        return True
    return any(
        _leads_to_dropout(step, call)
        for call in facts.graph.calls_of(layer.path)
        for step in (facts.producers, facts.consumers)
    )


def _leads_to_dropout(step: Callable[[str], tuple[LayerFacts, ...]], path: str) -> bool:
    frontier = [path]
    while frontier:
        reached = step(frontier.pop())
        if any(is_active(layer) for layer in reached):
            return True
        frontier += [layer.path for layer in reached if layer.kind in _PASSED]
    return False


def _cell_of(layer: LayerFacts) -> dict[str, Any]:
    """Arguments of the cell inside an `RNN`; of stacked cells, those of the first."""
    cell: Any = layer.config.get("cell")
    config = cell.get("config", {}) if isinstance(cell, dict) else {}
    stacked = config.get("cells")
    return dict(stacked[0].get("config", {}) if stacked else config)
