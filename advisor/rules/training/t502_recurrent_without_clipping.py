"""T502: recurrent layers trained without gradient clipping."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Kind
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.registry import rule
from advisor.rules.training.clipping import clipping

SHORTEST = 10
"""Through fewer steps a gradient cannot grow far."""


def _model(
    recurrent: keras.Layer | None = None, optimizer: str | keras.optimizers.Optimizer = "adam", length: int | None = 20
) -> keras.Model:
    model = keras.Sequential([keras.Input((length, 3)), recurrent or layers.LSTM(4), layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


@rule
class RecurrentWithoutClipping(Rule):
    """A recurrent network whose gradients are not clipped.

    What it does:
        Looks for trainable recurrent layers over 10 steps or more, or over a number that is not known, in a model whose
        optimizer has none of `clipnorm`, `global_clipnorm` and `clipvalue`.

    Why it matters:
        The gradient of a recurrent layer is a product over the time steps. Where its factors are above one it grows
        exponentially, and a single step along it throws the weights far off. Gates and orthogonal initial values make
        that rarer, not impossible: the loss surface has walls. Clipping the norm keeps the direction and bounds
        the step.

    Example:
        ```python
        model = keras.Sequential([layers.LSTM(128), layers.Dense(1)])
        model.compile("rmsprop", "mse")
        ```

    Fix:
        No change to the model. The training plan compiles with `clipnorm=1.0`.
    """

    code = "T502"
    name = "recurrent-without-clipping"
    severity = Severity.INFO
    requires = frozenset({Requirement.COMPILE})
    references = ("pascanu-2013",)

    VALID = (
        Case("the norm of each gradient clipped", lambda: _model(optimizer=keras.optimizers.Adam(clipnorm=1.0))),
        Case("the norm of all gradients clipped", lambda: _model(optimizer=keras.optimizers.SGD(global_clipnorm=5.0))),
        Case("values clipped", lambda: _model(optimizer=keras.optimizers.RMSprop(clipvalue=0.5))),
        Case("no recurrent layer", lambda: _model(layers.Flatten())),
        Case("a frozen recurrent layer", lambda: _model(layers.LSTM(4, trainable=False))),
        Case("five time steps", lambda: _model(length=5)),
    )
    INVALID = (
        Case("LSTM", _model),
        Case("both directions, any length", lambda: _model(layers.Bidirectional(layers.GRU(4)), length=None)),
        Case("a cell of one's own", lambda: _model(layers.RNN(layers.SimpleRNNCell(4)), "sgd")),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.model.optimizer is None or facts.model.clipping:
            return
        recurrent = [
            layer
            for layer in facts.of_kind(Kind.RECURRENT)
            if layer.trainable and _steps(layer.input_shapes) >= SHORTEST
        ]
        if recurrent:
            names = ", ".join(f"`{layer.path}`" for layer in recurrent)
            yield self.finding(
                *recurrent,
                message=f"{names} {'is' if len(recurrent) == 1 else 'are'} trained by {facts.model.optimizer} without "
                "gradient clipping",
                why="A gradient is a product over the time steps, and one that explodes throws the weights far off.",
                plan=(clipping(),),
            )


def _steps(input_shapes: tuple[tuple[int | None, ...], ...]) -> float:
    length = input_shapes[0][1] if input_shapes and len(input_shapes[0]) > 1 else None
    return float("inf") if length is None else length
