"""H601: softmax over a single value."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import LINEAR_KINDS, Facts, LayerFacts
from advisor.graph import Configure, Edit, LayerSpec, Replace
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Confidence, Finding, Fix, Severity
from advisor.rules.heads.outputs import steps_after_linear
from advisor.rules.registry import rule


def _classifier(*, units: int = 1, activation: str | None = None, last: keras.Layer | None = None) -> keras.Model:
    head = [layers.Dense(units, activation=activation), *([last] if last else [])]
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu"), *head])
    model.compile("sgd", "binary_crossentropy" if units == 1 else "categorical_crossentropy")
    return model


def _mask(activation: str) -> keras.Model:
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(1, 1, activation=activation)]
    )


def _attention(*, axis: int) -> keras.Model:
    inputs = keras.Input((5, 4))
    weights = layers.Softmax(axis=axis)(layers.Dense(1)(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Multiply()([inputs, weights]))))


@rule
class SoftmaxOnOneUnit(Rule):
    """Softmax over a single value gives 1, whatever the value.

    What it does:
        Finds softmax, as a layer, in a layer or from `keras.ops`, over an axis of size 1.

    Why it matters:
        Softmax divides exp(x) by the sum of all exp(x), which is exp(x) itself where there is only one. The output is
        1 for every input, its gradient is 0, and nothing before it learns; accuracy stays at the share of one class.
        Keras warns when such a layer is called, and goes on.

    Example:
        ```python
        layers.Dense(1, activation="softmax")
        ```

    Fix:
        At an output, sigmoid takes its place. The loss that goes with it is `binary_crossentropy`; H602 says so where
        another one is compiled. In the middle of a model the softmax was meant for another axis (that of the steps,
        for attention weights), which only you know, so there is no fix; nor is there one for an operation of
        `keras.ops`. Safety: retrain.
    """

    code = "H601"
    name = "softmax-on-one-unit"
    severity = Severity.ERROR
    references = ("keras-softmax",)
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("one unit with sigmoid", lambda: _classifier(activation="sigmoid")),
        Case("two units with softmax", lambda: _classifier(units=2, activation="softmax")),
        Case("attention weights over the steps", lambda: _attention(axis=1)),
    )
    INVALID = (
        Case(
            "in a dense layer",
            lambda: _classifier(activation="softmax"),
            expected=lambda: _classifier(activation="sigmoid"),
        ),
        Case(
            "an activation layer",
            lambda: _classifier(last=layers.Activation("softmax")),
            expected=lambda: _classifier(last=layers.Activation("sigmoid")),
        ),
        Case(
            "a softmax layer",
            lambda: _classifier(last=layers.Softmax()),
            expected=lambda: _classifier(last=layers.Activation("sigmoid")),
        ),
        Case("a mask of one channel", lambda: _mask("softmax"), expected=lambda: _mask("sigmoid")),
        Case("attention weights over the wrong axis", lambda: _attention(axis=-1)),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        ends = _ends(facts)
        for layer in facts.layers.values():
            if layer.activation != "softmax" or not _is_over_one_value(layer):
                continue
            is_head = layer.path in ends
            remedy = (
                "Use sigmoid with `binary_crossentropy`, or two units."
                if is_head
                else "For attention weights let it run over the steps, as `layers.Softmax(axis=1)` does."
            )
            yield self.finding(
                layer,
                message=f"`{layer.path}` is a softmax over one value: its output is 1 for every input",
                why=f"The gradient through it is 0, so that nothing before it learns. {remedy}",
                fix=Fix(f"make `{layer.path}` a sigmoid", (_sigmoid(layer),), "retrain")
                if is_head and facts.graph.nodes[layer.path].is_layer
                else None,
            )


def _ends(facts: Facts) -> set[str]:
    """What makes the values of the outputs: the last linear layers and what comes after them."""
    after = {step.path for head in facts.model.heads for step in steps_after_linear(facts, head)}
    return (
        after | {head.linear for head in facts.model.heads if head.linear} | {head.path for head in facts.model.heads}
    )


def _is_over_one_value(layer: LayerFacts) -> bool:
    if not layer.output_shape:
        return False  # a layer that Python code calls
    # Inside a linear layer, and in an `Activation`, it runs over the last axis.
    has_axis = layer.kind not in LINEAR_KINDS and layer.cls is not layers.Activation
    axes = layer.config.get("axis", -1) if has_axis else -1
    sizes = [layer.output_shape[axis] for axis in (axes if isinstance(axes, (list, tuple)) else [axes])]
    return all(size == 1 for size in sizes)


def _sigmoid(layer: LayerFacts) -> Edit:
    if "activation" in layer.config:
        return Configure(layer.path, {"activation": "sigmoid"})
    return Replace(layer.path, LayerSpec(layers.Activation, {"activation": "sigmoid"}))
