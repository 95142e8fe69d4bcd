"""H604: an activation on what an activation gave."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import LINEAR_KINDS, Facts, Kind, LayerFacts
from advisor.graph import Configure, Remove
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Confidence, Finding, Fix, Severity
from advisor.rules.heads.outputs import steps_after_linear
from advisor.rules.registry import rule

# Spelled without underscores, as `keras.ops` and the layers differ in them.
_SQUASHING = frozenset({"sigmoid", "hardsigmoid", "softmax", "logsoftmax"})
_HIDDEN = frozenset(
    {"relu", "relu6", "leakyrelu", "prelu", "elu", "selu", "celu", "gelu", "silu", "swish", "hardsilu", "mish"}
    | {"softplus", "softsign", "tanh", "hardtanh"}
)
_FROM_ZERO = frozenset({"relu", "relu6", "softplus", "sigmoid", "hardsigmoid", "softmax"})
_KEEPS_FROM_ZERO = frozenset({"relu", "leakyrelu", "elu"})


def _stack(*, fused: str | None, after: tuple[keras.Layer, ...] = ()) -> keras.Model:
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, activation=fused), *after, layers.Dense(2)])


def _classifier(*, fused: str | None, last: str | None) -> keras.Model:
    head = [layers.Dense(3, activation=fused), *([layers.Activation(last)] if last else [])]
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="relu"), *head])


def _mish() -> keras.Model:
    inputs = keras.Input((6,))
    hidden = layers.Dense(8)(inputs)
    gate = layers.Activation("tanh")(layers.Activation("softplus")(hidden))
    return keras.Model(inputs, layers.Dense(2)(layers.Multiply()([hidden, gate])))


def _scores() -> keras.Model:
    inputs = keras.Input((5, 4))
    weights = layers.Softmax(axis=1)(layers.Dense(1, activation="tanh")(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Multiply()([inputs, weights]))))


@rule
class ActivationsInARow(Rule):
    """An activation works on the output of another activation.

    What it does:
        Finds an activation layer, or operation of `keras.ops`, that reads nothing but the output of an activation,
        fused into a layer or not, with nothing between. Gates (whose values multiply others, as in mish) and softmax
        in the middle of a model (attention weights of bounded scores) are left alone.

    Why it matters:
        A second ReLU changes nothing. Any other second activation squashes what the first has squashed: of a ReLU
        before a sigmoid no probability comes below 0.5, of a sigmoid before a softmax over ten classes none above 0.23,
        so that the loss cannot come near 0.

    Example:
        ```python
        layers.Dense(10, activation="sigmoid"), layers.Softmax()
        ```

    Fix:
        Where the second leaves the values of the first as they are (ReLU, leaky ReLU or ELU on values from 0), it is
        removed. Safety: exact. Else the first is dropped, as the second has the range that the loss or the next layer
        was made for. Safety: retrain. An activation inside a layer that is called several times is left as it is.
    """

    code = "H604"
    name = "activations-in-a-row"
    severity = Severity.WARNING
    references = ("glorot-2010",)
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("one activation", lambda: _stack(fused="relu")),
        Case("softmax after a linear layer", lambda: _classifier(fused=None, last="softmax")),
        Case("a gate", _mish),
        Case("attention weights of bounded scores", _scores),
        Case("the activation that does nothing", lambda: _stack(fused="relu", after=(layers.Activation("linear"),))),
        Case(
            "a normalization between them",
            lambda: _stack(fused="relu", after=(layers.LayerNormalization(), layers.ReLU())),
        ),
    )
    INVALID = (
        Case(
            "ReLU twice",
            lambda: _stack(fused="relu", after=(layers.ReLU(),)),
            expected=lambda: _stack(fused="relu"),
        ),
        Case(
            "a ReLU that also has a ceiling",
            lambda: _stack(fused="relu", after=(layers.ReLU(max_value=6),)),
            expected=lambda: _stack(fused=None, after=(layers.ReLU(max_value=6),)),
        ),
        Case(
            "sigmoid before softmax",
            lambda: _classifier(fused="sigmoid", last="softmax"),
            expected=lambda: _classifier(fused=None, last="softmax"),
        ),
        Case(
            "softmax twice",
            lambda: _classifier(fused="softmax", last="softmax"),
            expected=lambda: _classifier(fused=None, last="softmax"),
        ),
        Case(
            "two layers",
            lambda: _stack(fused=None, after=(layers.Activation("tanh"), layers.LeakyReLU())),
            expected=lambda: _stack(fused=None, after=(layers.LeakyReLU(),)),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        ends = {step.path for head in facts.model.heads for step in steps_after_linear(facts, head)}
        for second in facts.of_kind(Kind.ACTIVATION):
            first = facts.sole_producer(second.path)
            if first is None or not (_function(first) and _function(second)):
                continue
            changes_nothing = _starts_at_zero(first) and _keeps_from_zero(second)
            is_end = second.path in ends
            if not changes_nothing and not _is_mistake(facts, first, second, is_end):
                continue
            squashed = is_end and _function(second) in _SQUASHING
            yield self.finding(
                first,
                second,
                message=f"`{second.path}` ({second.activation}) works on the output of `{first.path}` "
                f"({first.activation})",
                why="The second changes nothing."
                if changes_nothing
                else "What the first has cut off or squashed, the second cannot bring back"
                + (", so that not every prediction can be made." if squashed else "."),
                severity=Severity.INFO if changes_nothing else Severity.ERROR if squashed else None,
                fix=Fix(f"remove `{second.path}`", (Remove(second.path),), "exact")
                if changes_nothing
                else _without_first(facts, first),
            )


def _function(layer: LayerFacts) -> str | None:
    """The activation by its name, if it is one of those that are known."""
    name = (layer.activation or "").replace("_", "")
    return name if name in _SQUASHING | _HIDDEN else None


def _is_mistake(facts: Facts, first: LayerFacts, second: LayerFacts, is_end: bool) -> bool:
    if facts.sole_consumer(first.path) is not second:
        return False
    if not is_end and _function(second) in {"softmax", "logsoftmax"}:
        return False
    return not any(reader.cls.__name__ == "Multiply" for reader in facts.consumers(second.path))


def _starts_at_zero(layer: LayerFacts) -> bool:
    return _function(layer) in _FROM_ZERO and (layer.cls is not layers.ReLU or not layer.config["negative_slope"])


def _keeps_from_zero(layer: LayerFacts) -> bool:
    if layer.cls is layers.ReLU and (layer.config["max_value"] is not None or layer.config["threshold"]):
        return False
    return _function(layer) in _KEEPS_FROM_ZERO


def _without_first(facts: Facts, first: LayerFacts) -> Fix | None:
    if facts.graph.is_shared(first.path):
        return None
    edit = Configure(first.path, {"activation": None}) if first.kind in LINEAR_KINDS else Remove(first.path)
    return Fix(f"drop the {first.activation} of `{first.path}`", (edit,), "retrain")
