"""D202: dropout of more than what is left can make up for."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Kind, LayerFacts
from advisor.graph import Configure
from advisor.rules.base import Case, Rule
from advisor.rules.dropout.places import rate_of
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.registry import rule

HIGHEST_RATE = 0.5
HIGHEST_INPUT_RATE = 0.2

_RAW = frozenset({Kind.INPUT, Kind.PREPROCESSING, Kind.AUGMENTATION})
_RECURRENT_RATES = ("dropout", "recurrent_dropout")


def _model(*, on_inputs: float = 0.0, hidden: float = 0.0, cls: type[keras.Layer] = layers.Dropout) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6,)),
            *([cls(on_inputs)] if on_inputs else []),
            layers.Dense(8, activation="relu"),
            *([cls(hidden)] if hidden else []),
            layers.Dense(2),
        ]
    )


def _denoising(rate: float) -> keras.Model:
    return keras.Sequential(
        [keras.Input((6,)), layers.Dropout(rate), layers.Dense(3, activation="relu"), layers.Dense(6)]
    )


def _recurrent(**rates: float) -> keras.Model:
    return keras.Sequential(
        [keras.Input((5, 6)), layers.Bidirectional(layers.GRU(4, **rates)), layers.Dense(2, activation="softmax")]
    )


@rule
class DropoutRateTooHigh(Rule):
    """Dropout drops more than half of the hidden units, or more than a fifth of the inputs.

    What it does:
        Compares the rate of every dropout layer, and of the dropout inside recurrent layers, with 0.5; where it works
        on the model's inputs, with 0.2. A model that gives out what it takes in, as a denoising autoencoder, may drop
        of its inputs what it likes.

    Why it matters:
        The noise of dropout grows with rate / (1 − rate): it doubles from 0.5 to 0.67. The cited paper, appendix A.4,
        names 0.2 to 0.5 as typical of hidden layers, where larger rates need more units to make up for it, and 0.2 of
        real-valued inputs, whose information no other unit has.

    Example:
        ```python
        layers.Dense(64, activation="relu"), layers.Dropout(0.8), layers.Dense(10)
        ```

    Fix:
        Lowers the rate to 0.5, on inputs to 0.2. Safety: retrain.
    """

    code = "D202"
    name = "dropout-rate-too-high"
    severity = Severity.WARNING
    references = ("srivastava-2014",)

    VALID = (
        Case("0.5 on hidden units, 0.2 on inputs", lambda: _model(on_inputs=0.2, hidden=0.5)),
        Case("a denoising autoencoder", lambda: _denoising(0.4)),
        Case("noise of any size", lambda: _model(on_inputs=0.8, cls=layers.GaussianNoise)),
        Case("0.5 in a recurrent layer", lambda: _recurrent(dropout=0.5, recurrent_dropout=0.2)),
    )
    INVALID = (
        Case("0.8 on hidden units", lambda: _model(hidden=0.8), expected=lambda: _model(hidden=0.5)),
        Case("0.5 on inputs", lambda: _model(on_inputs=0.5), expected=lambda: _model(on_inputs=0.2)),
        Case(
            "in a recurrent layer",
            lambda: _recurrent(dropout=0.2, recurrent_dropout=0.7),
            expected=lambda: _recurrent(dropout=0.2, recurrent_dropout=0.5),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        reconstructs = _reconstructs(facts)
        for layer in facts.layers.values():
            calls = facts.graph.calls_of(layer.path)
            if layer.path != calls[0]:
                continue
            on_inputs = any(_reads_inputs(facts, call) for call in calls)
            if on_inputs and reconstructs:
                continue
            highest = HIGHEST_INPUT_RATE if on_inputs and layer.kind is Kind.DROPOUT else HIGHEST_RATE
            changes = {name: highest for name, rate in _rates(layer) if rate > highest}
            if not changes:
                continue
            shown = ", ".join(f"{name}={layer.config[name]:g}" for name in changes)
            what = "the inputs" if highest == HIGHEST_INPUT_RATE else "the hidden units"
            yield self.finding(
                layer,
                message=f"`{layer.path}` drops too much of {what} ({shown})",
                why=f"Above {highest:g} the noise grows faster than it prevents overfitting; the model underfits.",
                fix=Fix(
                    f"lower the rate of `{layer.path}` to {highest:g}", (Configure(layer.path, changes),), "retrain"
                ),
            )


def _rates(layer: LayerFacts) -> Iterator[tuple[str, float]]:
    """Arguments that are rates of dropout of units, with their values."""
    if layer.kind is Kind.RECURRENT:
        yield from ((name, layer.config[name]) for name in _RECURRENT_RATES if name in layer.config)
    elif (rate := rate_of(layer)) is not None:
        yield "rate", rate


def _reads_inputs(facts: Facts, path: str) -> bool:
    producer = facts.sole_producer(path)
    return producer is not None and producer.kind in _RAW


def _reconstructs(facts: Facts) -> bool:
    """Whether an output has the shape of an input, as that of an autoencoder."""
    shapes = {node.output_shapes[0][1:] for node in facts.graph.inputs}
    return any(facts[head.path].output_shape[1:] in shapes for head in facts.model.heads)
