"""N114: a normalization right after another."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Kind, LayerFacts
from advisor.graph import Remove
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Confidence, Finding, Fix, Severity
from advisor.rules.registry import rule


def _stack(*norms: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, use_bias=False), *norms, layers.ReLU()])


def _first_read_twice() -> keras.Model:
    inputs = keras.Input((8, 8, 4))
    first = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs))
    return keras.Model(inputs, layers.Add()([first, layers.LayerNormalization()(first)]))


def _after_backbone(*norms: keras.Layer) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    features = _backbone()(inputs)
    for norm in norms:
        features = norm(features)
    return keras.Model(inputs, layers.Dense(2)(features))


def _backbone() -> keras.Model:
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D(), layers.LayerNormalization()]
    )


@rule
class TwoNormsInARow(Rule):
    """A normalization whose output goes straight into another normalization.

    What it does:
        Finds batch, layer, group, RMS and instance normalizations that are read by nothing but another one, with
        nothing in between. Scaling to unit length is no such normalization, and frozen layers are left alone.

    Why it matters:
        The second one undoes the scale and shift that the first one learns, wholly or for the most part, and each costs
        a pass over the activations. At inference only one of them can be folded into the layer before.

    Example:
        ```python
        layers.Conv2D(64, 3), layers.BatchNormalization(), layers.LayerNormalization()
        ```

    Fix:
        Removes the first; the second instead where the first is the end of a nested model, which stays whole.
        Safety: retrain.
    """

    code = "N114"
    name = "two-norms-in-a-row"
    severity = Severity.WARNING
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("one normalization", lambda: _stack(layers.BatchNormalization())),
        Case(
            "an activation between",
            lambda: _stack(layers.BatchNormalization(), layers.ReLU(), layers.LayerNormalization()),
        ),
        Case(
            "unit length after batch normalization",
            lambda: _stack(layers.BatchNormalization(), layers.UnitNormalization()),
        ),
        Case("others read the first too", _first_read_twice),
        Case(
            "the first is frozen",
            lambda: _stack(layers.BatchNormalization(trainable=False), layers.LayerNormalization()),
        ),
    )
    INVALID = (
        Case(
            "batch and layer normalization",
            lambda: _stack(layers.BatchNormalization(), layers.LayerNormalization()),
            expected=lambda: _stack(layers.LayerNormalization()),
        ),
        Case(
            "three in a row",
            lambda: _stack(
                layers.GroupNormalization(2), layers.BatchNormalization(axis=1), layers.BatchNormalization()
            ),
            expected=lambda: _stack(layers.BatchNormalization()),
        ),
        Case(
            "behind a backbone that ends with one",
            lambda: _after_backbone(layers.BatchNormalization()),
            expected=_after_backbone,
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for first in facts.of_kind(Kind.NORM):
            second = facts.sole_consumer(first.path)
            if second is None or facts.sole_producer(second.path) is not first:
                continue
            if _standardizes(facts, first) and _standardizes(facts, second):
                yield self._doubled(facts, first, second)

    def _doubled(self, facts: Facts, first: LayerFacts, second: LayerFacts) -> Finding:
        closes_nested_model = first.path.count("/") > second.path.count("/")
        dropped = second if closes_nested_model else first
        return self.finding(
            first,
            second,
            message=f"`{first.path}` ({first.cls.__name__}) goes straight into `{second.path}` ({second.cls.__name__})",
            why="The second normalization takes back most of what the first one does and learns.",
            fix=Fix(f"remove `{dropped.path}`", (Remove(dropped.path),), "retrain"),
        )


def _standardizes(facts: Facts, layer: LayerFacts) -> bool:
    is_layer = facts.graph.nodes[layer.path].is_layer
    return layer.kind is Kind.NORM and is_layer and layer.cls is not layers.UnitNormalization and layer.trainable
