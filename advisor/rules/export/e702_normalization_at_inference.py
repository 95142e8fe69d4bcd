"""E702: normalizations that compute their statistics on the phone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
from keras import layers

import keras_normpack
from advisor.facts import Facts, Kind, LayerFacts
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Confidence, Finding, Severity
from advisor.rules.registry import rule

MOBILE = {"target": "mobile"}

# Counted in converted models of one such layer on feature maps; the slow tests count again.
OPERATORS: dict[type, int] = {
    keras_normpack.GroupNormalization: 19,
    layers.GroupNormalization: 14,
    keras_normpack.InstanceNormalization: 11,
    layers.LayerNormalization: 11,
    layers.RMSNormalization: 6,
}
_OVER_A_MAP = (layers.GroupNormalization, keras_normpack.InstanceNormalization)
OPERATIONS_PER_VALUE = 5
"""Two means, a square, a multiplication and an addition: what `x · a + b` takes when a and b come from the sample."""

LOWERED_OPERATORS, LOWERED_OVER_ALL = 12, 5


def _map(norm: keras.Layer) -> keras.Model:
    stack = [layers.Conv2D(4, 3), norm, layers.ReLU(), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    return keras.Sequential([keras.Input((8, 8, 3)), *stack])


@rule
class NormalizationAtInference(Rule):
    """Group, instance, layer and RMS normalization compute statistics of every sample on the phone.

    What it does:
        For `target="mobile"`, lists these normalizations, one finding per class, with the operators that the converted
        layer has and the values it works on.

    Why it matters:
        Batch normalization folds into the convolution before it and costs nothing at inference. These cannot, since
        their statistics come from the sample: every value is read and written several times. Measured on a prototype
        against the same network with folded batch normalization, one thread: group normalization 1.97 times the latency
        as Keras has it converted, instance normalization 3.54 times. Written as `x · a + b`, with a and b per channel
        from two means, 1.20 and 1.17 times.

    Example:
        ```python
        layers.Conv2D(32, 3), layers.GroupNormalization(8), layers.ReLU()
        ```

    Fix:
        None in the model: the form `x · a + b` computes the same and is a matter of export. Where the batch allows it,
        batch normalization is the cheapest on a phone.
    """

    code = "E702"
    name = "normalization-at-inference"
    severity = Severity.INFO
    references = ("jacob-2018", "wu-2018")
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("batch normalization", lambda: _map(layers.BatchNormalization()), MOBILE),
        Case("not for mobile", lambda: _map(layers.GroupNormalization(2))),
    )
    INVALID = (
        Case("group normalization", lambda: _map(layers.GroupNormalization(2)), MOBILE),
        Case("instance normalization", lambda: _map(keras_normpack.InstanceNormalization()), MOBILE),
        Case("layer normalization", lambda: _map(layers.LayerNormalization()), MOBILE),
        Case("RMS normalization", lambda: _map(layers.RMSNormalization()), MOBILE),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.target != "mobile":
            return
        found: dict[type, list[LayerFacts]] = {}
        for layer in facts.of_kind(Kind.NORM):
            cls = next((cls for cls in OPERATORS if issubclass(layer.cls, cls)), None)
            if cls is not None:
                found.setdefault(cls, []).append(layer)
        for cls, norms in found.items():
            yield self._costly(cls, norms)

    def _costly(self, cls: type, norms: list[LayerFacts]) -> Finding:
        values = sum(math.prod(size or 1 for size in norm.output_shape[1:]) for norm in norms)
        count = len(norms)
        which = f"`{norms[0].path}` ({cls.__name__}) becomes" if count == 1 else f"{count} {cls.__name__} become"
        lowered = (
            f", {LOWERED_OPERATORS * count} when written as `x · a + b`, {LOWERED_OVER_ALL * count} of them over maps"
            if issubclass(cls, _OVER_A_MAP)
            else ""
        )
        return self.finding(
            *norms,
            message=f"{which} {OPERATORS[cls] * count} operators{lowered}; about "
            f"{OPERATIONS_PER_VALUE * values:,} multiplications and additions per sample that a folded batch "
            "normalization does not have",
            why="Their statistics come from the sample, so they cannot be folded into the layer before.",
        )
