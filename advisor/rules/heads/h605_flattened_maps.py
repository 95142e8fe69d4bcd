"""H605: most of a network's weights read flattened feature maps."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Head, Kind, LayerFacts
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.registry import rule

LARGEST_SHARE = 0.8

_WITHIN_HEAD = frozenset({Kind.DENSE, Kind.ACTIVATION, Kind.NORM, Kind.DROPOUT})
_BEHIND_CONVOLUTIONS = frozenset({Kind.ACTIVATION, Kind.NORM, Kind.DROPOUT, Kind.POOLING, Kind.MERGE})


def _classifier(summary: keras.Layer, *, filters: int = 8, hidden: int = 32, softmax: bool = True) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(filters, 3, activation="relu"),
            summary,
            layers.Dense(hidden, activation="relu"),
            layers.Dense(4, activation="softmax" if softmax else None),
        ]
    )


def _perceptron() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(4, activation="softmax"),
        ]
    )


@rule
class FlattenedMaps(Rule):
    """The dense layers behind flattened feature maps hold most of the weights of a classifier.

    What it does:
        Adds up the weights of the dense layers from the flattening of convolutional maps to the output of a classifier,
        and speaks where they are more than 80 % of all.

    Why it matters:
        A dense layer on flattened maps learns a weight of its own for every position, so that what is learned at one
        position is not known at the next, and it overfits first: the dense layers of VGG16 hold 124 of its 138 million
        weights. Global average pooling takes the mean of each map instead and has no weights; the input may then have
        any size. The cited paper finds 10.41 % test error on CIFAR-10 with it, against 11.59 % with a dense layer
        (10.88 % with dropout).

    Example:
        ```python
        layers.Conv2D(128, 3), layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dense(10)
        ```

    Fix:
        None by itself: the network must be trained anew, and maps of few channels need another convolution first. Put
        `GlobalAveragePooling2D()` in the place of `Flatten()`. Where the position matters (counting, boards, text
        lines), keep the flattening.
    """

    code = "H605"
    name = "flattened-maps"
    severity = Severity.INFO
    references = ("lin-2014",)

    VALID = (
        Case("global average pooling", lambda: _classifier(layers.GlobalAveragePooling2D())),
        Case("more weights in the convolutions", lambda: _classifier(layers.Flatten(), filters=32, hidden=2)),
        Case("no convolutions", _perceptron),
        Case("a regression, where positions may matter", lambda: _classifier(layers.Flatten(), softmax=False)),
    )
    INVALID = (Case("flattened maps", lambda: _classifier(layers.Flatten())),)

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.model.task != "classification" or not facts.model.params:
            return
        for head in {head.linear: head for head in facts.model.heads}.values():
            flatten, dense = _flattened(facts, head)
            share = sum(layer.params for layer in dense) / facts.model.params
            if flatten is None or share <= LARGEST_SHARE:
                continue
            rank = len(flatten.input_shapes[0]) - 2
            yield self.finding(
                flatten,
                *dense,
                message=f"the dense layers behind `{flatten.path}` hold {share:.0%} of the "
                f"{facts.model.params:,} weights",
                why="They learn every position by itself and overfit first. Put "
                f"`layers.GlobalAveragePooling{rank}D()` in the place of `{flatten.path}`, unless it matters where in "
                "the maps something is.",
            )


def _flattened(facts: Facts, head: Head) -> tuple[LayerFacts | None, list[LayerFacts]]:
    """The flattening of convolutional maps before a head, and the dense layers behind it; None without one."""
    dense: list[LayerFacts] = []
    layer = facts[head.linear] if head.linear else None
    while layer is not None and layer.kind in _WITHIN_HEAD:
        if layer.kind is Kind.DENSE:
            dense.insert(0, layer)
        layer = facts.sole_producer(layer.path)
    is_flatten = layer is not None and layer.cls is layers.Flatten and len(layer.input_shapes[0]) > 2
    return (layer if is_flatten and layer is not None and _on_maps(facts, layer) else None), dense


def _on_maps(facts: Facts, flatten: LayerFacts) -> bool:
    layer = facts.sole_producer(flatten.path)
    while layer is not None and layer.kind in _BEHIND_CONVOLUTIONS:
        producers = facts.producers(layer.path)
        layer = producers[0] if producers else None
    sizes = flatten.input_shapes[0][1:]
    return (
        layer is not None and layer.kind in {Kind.CONV, Kind.DEPTHWISE} and sum((size or 2) > 1 for size in sizes) > 1
    )
