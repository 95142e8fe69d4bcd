"""E701: batch normalization that stays in the mobile model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts
from advisor.facts.folding import foldable_into
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.registry import rule

MOBILE = {"target": "mobile"}


def _stack(*steps: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), *steps, layers.GlobalAveragePooling2D(), layers.Dense(2)])


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
        For `target="mobile"`, lists the batch normalizations that cannot be folded into the convolution or dense layer
        before them, one finding per reason.

    Why it matters:
        At inference batch normalization is one multiplication and one addition per value. Directly after a linear
        layer both go into its weights and cost nothing. Anywhere else they stay in the model as a `MUL` and an `ADD`
        that read and write the whole feature map.

    Example:
        ```python
        layers.Conv2D(32, 3, activation="relu"), layers.BatchNormalization()
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
        Case("not for mobile", lambda: _stack(layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization())),
        Case("another normalization", lambda: _stack(layers.Conv2D(4, 3), layers.LayerNormalization()), MOBILE),
    )
    INVALID = (
        Case(
            "after an activation",
            lambda: _stack(layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()),
            MOBILE,
        ),
        Case("a convolution read twice", _read_twice, MOBILE),
        Case("a pre-activation network", _pre_activation, MOBILE),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.target != "mobile":
            return
        by_reason: dict[str, list[str]] = defaultdict(list)
        for norm in facts.batch_norms():
            folding = foldable_into(facts, norm.path)
            # Inside a layer written in Python the calls are not known, so nothing can be said.
            if folding.reason and facts.graph.nodes[norm.path].call is not None:
                by_reason[folding.reason].append(norm.path)
        for reason, paths in by_reason.items():
            calls = sum(len(facts.graph.calls_of(path)) for path in paths)
            one = len(paths) == 1
            yield self.finding(
                *paths,
                message=f"{f'`{paths[0]}`' if one else f'{len(paths)} batch normalizations'} cannot be folded "
                f"({reason}{'' if one else ', each of them'}): {2 * calls} extra operators, MUL and ADD for each call",
                why="Folded into the linear layer before it, a batch normalization costs nothing at inference.",
            )
