"""E701: batch normalization that stays in the mobile model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, LayerFacts
from advisor.facts.affine_maps import affine_map, maps_channels
from advisor.facts.commuting import Condition
from advisor.facts.folding import Folding, linear_layers_after, linear_layers_before, unmet
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.registry import rule

MOBILE = {"target": "mobile"}


def _stack(*steps: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), *steps, layers.GlobalAveragePooling2D(), layers.Dense(2)])


def _after_activation() -> keras.Model:
    conv, norm = layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()
    return _stack(conv, norm, layers.Conv2D(4, 3, padding="same"))


def _read_twice() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    conv = layers.Conv2D(4, 3)(inputs)
    merged = layers.Add()([conv, layers.BatchNormalization()(conv)])
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(merged)))


def _pre_activation() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    for _ in range(3):
        branch = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Add()([x, layers.Conv2D(4, 3, padding="same")(branch)])
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


@rule
class UnfoldableBatchNorm(Rule):
    """Batch normalization that no layer can take up costs operators on the phone.

    What it does:
        For `target="mobile"`, lists the batch normalizations that cannot be folded into a convolution or dense layer
        before them, nor into those after them, one finding per reason. What may stand between the two is said at
        `advisor.rewrite.fold_batch_norm`; what depends on the weights counts on a model that looks trained only.

    Why it matters:
        At inference batch normalization is one multiplication and one addition per value. Beside a linear layer both
        go into its weights and cost nothing. Anywhere else they stay in the model as a `MUL` and an `ADD` that read
        and write the whole feature map.

    Example:
        ```python
        layers.Conv2D(32, 3, activation="relu"), layers.BatchNormalization(), layers.Conv2D(32, 3, padding="same")
        ```

    Fix:
        None: which layer must move is a choice of architecture. N106 moves a normalization before its activation;
        pre-activation networks have unfoldable ones by design.
    """

    code = "E701"
    name = "unfoldable-batch-norm"
    severity = Severity.INFO
    references = ("jacob-2018", "tflite-micro-1651")

    VALID = (
        Case("directly after a convolution", lambda: _stack(layers.Conv2D(4, 3), layers.BatchNormalization()), MOBILE),
        Case(
            "directly after a depthwise convolution",
            lambda: _stack(layers.DepthwiseConv2D(3), layers.BatchNormalization(), layers.ReLU()),
            MOBILE,
        ),
        Case(
            "after an activation, before pooling and a dense layer",
            lambda: _stack(layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()),
            MOBILE,
        ),
        Case("not for mobile", lambda: _after_activation()),
        Case("another normalization", lambda: _stack(layers.Conv2D(4, 3), layers.LayerNormalization()), MOBILE),
    )
    INVALID = (
        Case("after an activation, before a convolution that pads", lambda: _after_activation(), MOBILE),
        Case("a convolution read twice", _read_twice, MOBILE),
        Case("a pre-activation network", _pre_activation, MOBILE),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.target != "mobile":
            return
        gone = _folded(facts)
        by_reason: dict[str, list[str]] = defaultdict(list)
        for norm in facts.batch_norms():
            # Inside a layer written in Python the calls are not known, so nothing can be said.
            if norm.path not in gone and facts.graph.nodes[norm.path].call is not None:
                by_reason[_reason_to_stay(facts, norm, gone)].append(norm.path)
        for reason, paths in by_reason.items():
            calls = sum(len(facts.graph.calls_of(path)) for path in paths)
            one = len(paths) == 1
            yield self.finding(
                *paths,
                message=f"{f'`{paths[0]}`' if one else f'{len(paths)} batch normalizations'} cannot be folded "
                f"({reason}{'' if one else ', each of them'}): {2 * calls} extra operators, MUL and ADD for each call",
                why="Folded into a linear layer beside it, a batch normalization costs nothing at inference.",
            )


def _folded(facts: Facts) -> set[str]:
    """The calls of all layers that fold, one after the other."""
    maps = [layer for layer in facts.layers.values() if maps_channels(layer)]
    gone: set[str] = set()
    found = [True]
    while any(found):
        waiting = [layer for layer in maps if layer.path not in gone]
        found = [None in _obstacles(facts, layer, gone) for layer in waiting]
        for layer, folds in zip(waiting, found, strict=True):
            gone.update(facts.graph.calls_of(layer.path) if folds else ())
    return gone


def _folds_in_the_converter(facts: Facts, layer: LayerFacts, folding: Folding) -> bool:
    """Whether TensorFlow's converter does it by itself: directly after one linear layer."""
    return folding.is_direct and [taker.path for taker in folding.takers] == list(facts.graph.producers(layer.path))


def _reason_to_stay(facts: Facts, norm: LayerFacts, gone: set[str]) -> str:
    if not maps_channels(norm):
        return "its class computes in its own way"
    return ", and ".join(dict.fromkeys(filter(None, _obstacles(facts, norm, gone))))


def _obstacles(facts: Facts, layer: LayerFacts, gone: set[str]) -> tuple[str | None, str | None]:
    """What keeps a layer from being folded into those before it, and into those after it."""
    before, after = (find(facts, layer.path, gone) for find in (linear_layers_before, linear_layers_after))
    return _obstacle(facts, layer, before), _obstacle(facts, layer, after)


def _obstacle(facts: Facts, layer: LayerFacts, folding: Folding) -> str | None:
    if folding.reason:
        return folding.reason
    refused = any(facts.graph.refusal(path) for path in (layer.path, *(taker.path for taker in folding.takers)))
    if refused and not _folds_in_the_converter(facts, layer, folding):
        return "the code around it cannot be rewritten"
    values = affine_map(facts.graph, layer) if facts.model.trained else None
    in_the_way = list(folding.conditions) if values is None else unmet(folding.conditions, values)
    return next((condition for condition in Condition if condition in in_the_way), None)
