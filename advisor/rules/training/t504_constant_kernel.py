"""T504: a hidden layer whose weights are all equal."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Kind, LayerFacts
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.initial_values import initialized_by, suiting
from advisor.rules.registry import rule

_WEIGHTED = frozenset({Kind.CONV, Kind.DEPTHWISE, Kind.DENSE, Kind.RECURRENT, Kind.ATTENTION, Kind.EMBEDDING})
_PASSED = frozenset({Kind.ACTIVATION, Kind.NORM, Kind.DROPOUT, Kind.RESHAPE, Kind.POOLING})
_DEAD_AT_ZERO = frozenset({"relu", "relu6"})


def _stack(initializer: object, activation: str = "relu", **arguments: object) -> keras.Model:
    hidden = layers.Dense(8, activation=activation, kernel_initializer=initializer, **arguments)
    return keras.Sequential([keras.Input((6,)), hidden, layers.Dense(2, activation="softmax")])


def _convolutional(initializer: object) -> keras.Model:
    conv = layers.Conv2D(4, 3, kernel_initializer=initializer)
    rest = [layers.BatchNormalization(), layers.ReLU(), layers.Flatten(), layers.Dense(2)]
    return keras.Sequential([keras.Input((8, 8, 3)), conv, *rest])


def _zero_head() -> keras.Model:
    hidden = layers.Dense(8, activation="relu")
    return keras.Sequential([keras.Input((6,)), hidden, layers.Dense(2, kernel_initializer="zeros")])


def _residual() -> keras.Model:
    inputs = keras.Input((8, 8, 4))
    branch = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    branch = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", kernel_initializer="zeros")(branch))
    maps = layers.ReLU()(layers.Add()([inputs, branch]))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))


def _gated() -> keras.Model:
    inputs = keras.Input((6,))
    gate = layers.Dense(8, activation="sigmoid", kernel_initializer="zeros")(inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.Multiply()([layers.Dense(8)(inputs), gate])))


def _trained() -> keras.Model:
    model = _stack("zeros")
    model.layers[0].kernel.assign(keras.random.normal((6, 8), seed=0))
    return model


@rule
class ConstantKernel(Rule):
    """A hidden layer whose weights all start from one value.

    What it does:
        Finds trainable convolutions and dense layers that start from `zeros`, `ones` or a constant and still hold it,
        where another layer with weights follows. Left alone are layers that are zero on purpose: heads, the last layer
        of a residual branch, gates and scales that multiply something, and whatever is read by a layer of one's own.

    Why it matters:
        All units of the layer compute the same. Zeros in front of a ReLU never change: its gradient is zero there.
        Other constants make the units equal, and they become different only as far as the layer after them differs, so
        that the layer starts as if it had one unit. Random values whose variance fits the activation keep signals and
        gradients of one size through all layers: by them, networks of 30 layers converge that else do not move.

    Example:
        ```python
        layers.Dense(128, activation="relu", kernel_initializer="zeros")
        ```

    Fix:
        Draws the weights anew: by He's initializer in front of ReLU and its kin, LeCun's in front of SELU, Glorot's
        elsewhere. Safety: retrain.
    """

    code = "T504"
    name = "constant-kernel"
    severity = Severity.WARNING
    references = ("he-2015", "glorot-2010")

    VALID = (
        Case("a random initializer", lambda: _stack("glorot_uniform")),
        Case("a head of zeros", _zero_head),
        Case("the last layer of a residual branch", _residual),
        Case("a gate", _gated),
        Case("a frozen layer", lambda: _stack("ones", trainable=False)),
        Case("weights that are no longer constant", _trained),
    )
    INVALID = (
        Case(
            "zeros in front of a ReLU",
            lambda: _stack("zeros"),
            expected=lambda: _stack(keras.initializers.HeNormal(seed=0)),
        ),
        Case(
            "a constant in front of a tanh",
            lambda: _stack(keras.initializers.Constant(0.1), "tanh"),
            expected=lambda: _stack(keras.initializers.GlorotUniform(seed=0), "tanh"),
        ),
        Case(
            "ones in front of a normalization and a ReLU",
            lambda: _convolutional("ones"),
            expected=lambda: _convolutional(keras.initializers.HeNormal(seed=0)),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for layer in facts.of_kind(Kind.CONV, Kind.DENSE):
            if not layer.trainable or not facts.graph.is_first_call(layer.path):
                continue
            value = layer.constant_kernel
            if value is None:
                continue
            activation = _activation_of_hidden(facts, layer)
            if activation is not None:
                yield self._constant(layer, value, activation)

    def _constant(self, layer: LayerFacts, value: float, activation: str) -> Finding:
        initializer = suiting(activation)
        dead = value == 0 and activation in _DEAD_AT_ZERO
        return self.finding(
            layer,
            message=f"all weights of `{layer.path}` are {value:g}, so that its {layer.channels} units compute the same",
            why="Behind a ReLU the gradient of zeros is zero: the layer never learns anything."
            if dead
            else "Equal units get equal signals; the layer starts as if it had one unit.",
            severity=Severity.ERROR if dead else None,
            fix=Fix(
                f"draw the weights of `{layer.path}` by {type(initializer).__name__}",
                (initialized_by(layer, {"kernel": initializer}),),
                "retrain",
            )
            if layer.wrapper is None
            else None,
        )


def _activation_of_hidden(facts: Facts, layer: LayerFacts) -> str | None:
    """The first activation after a hidden layer, "linear" for none; None for a layer that may well be constant."""
    activation, path = layer.activation, layer.path
    while True:
        consumer = facts.sole_consumer(path)
        if consumer is None:
            return None
        if consumer.kind in _WEIGHTED:
            return activation or "linear"
        if consumer.kind not in _PASSED:
            return None
        activation, path = activation or consumer.activation, consumer.path
