"""T506: gradients that vanish, signals that explode, units that are dead or saturated, measured on the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import LINEAR_KINDS, Facts, Kind, LayerFacts, Measurement
from advisor.graph import Configure
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.initial_values import initialized_by, suiting, suits
from advisor.rules.registry import rule
from advisor.rules.wording import named

# Measured on healthy and on broken networks: docs/adr/0014-learning-curves-and-first-steps.md.
VANISHED = 5e-5
EXPLODED = 100.0
DEAD = 0.7
SATURATED = 0.5

_REWRITABLE = frozenset({Kind.CONV, Kind.DENSE})


def _data() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(128, 16)).astype("float32")
    return x, (x[:, :2].sum(axis=1) > 0).astype("int64")


def _deep(depth: int, initializer: Any, activation: str = "relu") -> keras.Model:
    hidden = [layers.Dense(16, activation=activation, kernel_initializer=initializer) for _ in range(depth)]
    model = keras.Sequential([keras.Input((16,)), *hidden, layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def _normal(deviation: float) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=deviation, seed=1)


def _he() -> keras.initializers.Initializer:
    return keras.initializers.HeNormal(seed=0)


def _dead(initializer: Any = "he_normal") -> keras.Model:
    bias = keras.initializers.Constant(-20.0)
    hidden = layers.Dense(16, activation="relu", kernel_initializer=initializer, bias_initializer=bias)
    return keras.Sequential([keras.Input((16,)), hidden, layers.Dense(2, activation="softmax")])


@rule
class PoorSignals(Rule):
    """Gradients vanish, signals explode, units are dead or saturated.

    What it does:
        Runs a few samples of the data through the model. On one that is not trained, it takes the gradient of each
        layer's weights, relative to the weights and the loss, before and after 5 steps on a copy: less than 5e-5 both
        times has vanished. Signals have exploded where, without any normalization, a layer puts out values 100 times as
        spread as those of the first. A ReLU is called dead where more than 70 % of its units are zero for all samples,
        a tanh or sigmoid saturated where more than half of its outputs are within 0.01 of a limit. Gates and outputs of
        the model are left alone.

    Why it matters:
        A layer whose gradient has vanished stays as it was drawn, and what follows learns from noise; exploded signals
        make the loss huge and the first steps wild; dead and saturated units pass no gradient at all.

    Example:
        ```python
        model = keras.Sequential([layers.Dense(64, activation="sigmoid") for _ in range(10)])
        ```

    Fix:
        Draws the weights anew by the initializer that suits the activation: He's for ReLU and its kin, LeCun's for
        SELU, Glorot's elsewhere. Safety: retrain. Where they are drawn by it already, advice only: normalize (N105),
        and take ReLU instead of a tanh or sigmoid; scale inputs that are far from zero.
    """

    code = "T506"
    name = "poor-signals"
    severity = Severity.WARNING
    requires = frozenset({Requirement.DATA})
    references = ("glorot-2010", "he-2015")

    VALID = (
        Case("He's initializer in a deep network", lambda: _deep(12, _he()), {"data": _data}),
        Case("a shallow sigmoid network", lambda: _deep(2, "glorot_uniform", "sigmoid"), {"data": _data}),
        Case("a head of zeros", lambda: _deep(0, "zeros"), {"data": _data}),
    )
    INVALID = (
        Case(
            "weights so small that gradients vanish",
            lambda: _deep(6, _normal(0.01)),
            {"data": _data},
            lambda: _deep(6, _he()),
        ),
        Case(
            "weights so large that signals explode",
            lambda: _deep(6, _normal(3.0)),
            {"data": _data},
            lambda: _deep(6, _he()),
        ),
        Case(
            "weights so large that a tanh is saturated",
            lambda: _deep(2, _normal(3.0), "tanh"),
            {"data": _data},
            lambda: _deep(2, keras.initializers.GlorotUniform(seed=0), "tanh"),
        ),
        Case("ten sigmoids in a row", lambda: _deep(10, "glorot_uniform", "sigmoid"), {"data": _data}),
        Case("dead units", _dead, {"data": _data}),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        heads = {head.linear for head in facts.model.heads} | {head.path for head in facts.model.heads}
        hidden = [
            layer
            for layer in facts.layers.values()
            if layer.path not in heads and facts.graph.is_first_call(layer.path)
        ]
        linear = [layer for layer in hidden if layer.kind in LINEAR_KINDS and layer.trainable]
        if facts.model.trained is None:
            yield from self._vanishing(facts, linear)
            yield from self._exploding(facts, linear)
        for layer in hidden:
            yield from self._idle(facts, layer)

    def _vanishing(self, facts: Facts, linear: list[LayerFacts]) -> Iterator[Finding]:
        found = {layer: measured for layer in linear if (measured := _vanished(facts, layer))}
        if found:
            worst = min(found, key=lambda layer: found[layer].value)
            yield self.finding(
                *found,
                message=f"gradients vanish in {named([layer.path for layer in found])}: at `{worst.path}` they are "
                f"{found[worst].value:.1e} of the weights and the loss, and still are after the first steps",
                why="Layers without a gradient stay as they were drawn. Normalization (N105), residual connections and "
                "ReLU instead of a tanh or sigmoid let it through.",
                measurements=(found[worst],),
                fix=_redrawn(facts, linear),
            )

    def _exploding(self, facts: Facts, linear: list[LayerFacts]) -> Iterator[Finding]:
        if any(facts.of_kind(Kind.NORM)):
            return  # the runs are those of inference mode, where an untrained normalization does nothing
        spreads = {
            layer: measured for layer in linear if (measured := facts.measure("activation_deviation", layer.path))
        }
        first = next(iter(spreads.values()), None)
        found = {
            layer: replace(measured, name="deviation of the outputs, relative to the first layer's", value=ratio)
            for layer, measured in spreads.items()
            if first is not None and first.value > 0 and (ratio := measured.value / first.value) > EXPLODED
        }
        if found:
            worst = max(found, key=lambda layer: found[layer].value)
            yield self.finding(
                *found,
                message=f"signals explode in {named([layer.path for layer in found])}: `{worst.path}` puts out values "
                f"{found[worst].value:.3g} times as spread as those of the first layer",
                why="The loss is huge and the first steps are wild. Weights of the right size or normalization (N105) "
                "keep signals of one size.",
                measurements=(replace(found[worst], threshold=EXPLODED),),
                fix=_redrawn(facts, linear),
            )

    def _idle(self, facts: Facts, layer: LayerFacts) -> Iterator[Finding]:
        dead, saturated = facts.measure("dead_share", layer.path), facts.measure("saturated_share", layer.path)
        if dead is not None and dead.value > DEAD:
            yield self.finding(
                layer,
                message=f"{dead.value:.0%} of the units of `{layer.path}` are zero for all {dead.samples} samples",
                why="A ReLU passes no gradient where it is zero. A smaller learning rate, inputs around zero, "
                "normalization (N105) or a leaky ReLU keep units alive.",
                measurements=(replace(dead, threshold=DEAD),),
                fix=_redrawn(facts, _sources(facts, layer)),
            )
        elif saturated is not None and saturated.value > SATURATED and not _is_gate(facts, layer):
            yield self.finding(
                layer,
                message=f"{saturated.value:.0%} of the outputs of `{layer.path}` ({layer.activation}) are at a limit",
                why="There the function is flat and passes no gradient. Smaller weights, scaled inputs or "
                "normalization (N105) bring it back to where it is steep.",
                measurements=(replace(saturated, threshold=SATURATED),),
                fix=_redrawn(facts, _sources(facts, layer)),
            )


def _vanished(facts: Facts, layer: LayerFacts) -> Measurement | None:
    first, later = facts.measure("gradient_norm", layer.path), facts.measure("gradient_norm_later", layer.path)
    if first is None or first.value >= VANISHED:
        return None
    # Behind a layer that starts from zeros there is no gradient until that has moved.
    if later.value >= VANISHED if later is not None else first.value == 0:
        return None
    return replace(first, threshold=VANISHED)


def _redrawn(facts: Facts, linear: Iterable[LayerFacts]) -> Fix | None:
    """Weights drawn by the initializers that suit the activations; None where they are drawn by them already."""
    edits: list[Configure] = []
    for layer in linear:
        activation = layer.activation or _next_activation(facts, layer)
        plain = layer.kind in _REWRITABLE and layer.wrapper is None and "kernel_initializer" in layer.config
        if plain and not suits(layer.config["kernel_initializer"], activation):
            edits.append(initialized_by(layer, {"kernel": suiting(activation)}))
    if not edits:
        return None
    return Fix(f"draw the weights of {len(edits)} layers to suit their activations", tuple(edits), "retrain")


def _next_activation(facts: Facts, layer: LayerFacts) -> str | None:
    consumer = facts.sole_consumer(layer.path)
    while consumer is not None and consumer.kind in {Kind.NORM, Kind.DROPOUT, Kind.RESHAPE}:
        consumer = facts.sole_consumer(consumer.path)
    return consumer.activation if consumer is not None and consumer.kind is Kind.ACTIVATION else None


def _sources(facts: Facts, layer: LayerFacts) -> list[LayerFacts]:
    """The linear layer that an activation reads, or itself."""
    if layer.kind in LINEAR_KINDS:
        return [layer]
    producer = facts.sole_producer(layer.path)
    return [producer] if producer is not None and producer.is_linear and producer.trainable else []


def _is_gate(facts: Facts, layer: LayerFacts) -> bool:
    return any("Multiply" in consumer.cls.__name__ for consumer in facts.consumers(layer.path))
