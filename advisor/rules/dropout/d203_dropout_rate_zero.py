"""D203: dropout with rate 0."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts
from advisor.graph import Remove
from advisor.rules.base import Case, Rule
from advisor.rules.dropout.places import rate_of
from advisor.rules.finding import Confidence, Finding, Fix, Severity
from advisor.rules.registry import rule


def _dense(*between: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu"), *between, layers.Dense(2)])


def _sequence(*between: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((5, 6)), *between, layers.LSTM(4), layers.Dense(2)])


def _shared(rate: float | None) -> keras.Model:
    first, second = keras.Input((6,)), keras.Input((6,))
    hidden = layers.Dense(4)
    branches = [hidden(first), hidden(second)]
    if rate is not None:
        drop = layers.Dropout(rate)
        branches = [drop(branch) for branch in branches]
    return keras.Model([first, second], layers.Add()(branches))


@rule
class DropoutRateZero(Rule):
    """A dropout layer with rate 0 does nothing.

    What it does:
        Finds dropout layers of every sort whose rate is 0.

    Why it matters:
        The layer looks like regularization and is none. Often the rate came from a search or a configuration that was
        never set.

    Example:
        ```python
        layers.Dropout(0.0)
        ```

    Fix:
        Removes the layer, at every call of it. Safety: exact. If dropout was wanted, give it a rate instead.
    """

    code = "D203"
    name = "dropout-rate-zero"
    severity = Severity.INFO
    references = ("srivastava-2014",)
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("a rate above 0", lambda: _dense(layers.Dropout(0.1))),
        Case("noise that is no dropout", lambda: _dense(layers.GaussianNoise(0.1))),
        Case("a recurrent layer without its own dropout", lambda: _sequence()),
        Case("a shared dropout with a rate", lambda: _shared(0.5)),
    )
    INVALID = (
        Case("rate 0", lambda: _dense(layers.Dropout(0.0)), expected=lambda: _dense()),
        Case("spatial dropout", lambda: _sequence(layers.SpatialDropout1D(0.0)), expected=lambda: _sequence()),
        Case("alpha dropout", lambda: _dense(layers.AlphaDropout(0.0)), expected=lambda: _dense()),
        Case("a layer called twice", lambda: _shared(0.0), expected=lambda: _shared(None)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for layer in facts.layers.values():
            calls = facts.graph.calls_of(layer.path)
            if rate_of(layer) == 0 and layer.path == calls[0]:
                yield self.finding(
                    layer,
                    message=f"`{layer.path}` has rate 0 and hands its input on unchanged",
                    why="It regularizes nothing, though the model reads as if it did.",
                    fix=Fix(f"remove `{layer.path}`", tuple(Remove(call) for call in calls), "exact"),
                )
