"""E702: normalizations that compute their statistics on the phone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import keras
from keras import layers

import keras_normpack
from advisor.facts import Facts, Kind, LayerFacts, Measurement
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Confidence, Finding, Severity
from advisor.rules.registry import rule

MOBILE = {"target": "mobile"}

FIGURES = ("litert_milliseconds", "litert_milliseconds_lowered", "litert_operators", "litert_operators_lowered")
_WITHOUT_STATISTICS = (keras_normpack.DynamicTanh,)

OPERATIONS_PER_VALUE = 5
"""Two means, a square, a multiplication and an addition: what `x · a + b` takes when a and b come from the sample."""


def _map(norm: keras.Layer) -> keras.Model:
    stack = [layers.Conv2D(4, 3), norm, layers.ReLU(), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    return keras.Sequential([keras.Input((8, 8, 3)), *stack])


@rule
class NormalizationAtInference(Rule):
    """Normalizations other than batch normalization compute statistics of every sample on the phone.

    What it does:
        For `target="mobile"`, lists these normalizations, one finding per class, and measures what they cost in LiteRT:
        operators and milliseconds, on one thread and each layer alone, as the layer is written and in the form in which
        `export_tflite` writes it.

    Why it matters:
        Batch normalization folds into the convolution before it and costs nothing at inference. These cannot, since
        their statistics come from the sample: every value is read and written several times. How much that is beside
        the convolutions depends on the network, so it is measured.

    Example:
        ```python
        layers.Conv2D(32, 3), layers.GroupNormalization(8), layers.ReLU()
        ```

    Fix:
        None in the model: `export_tflite` writes the layer in the form that costs least, such as `x · a + b` with a and
        b per channel. Where the batch allows it, batch normalization is the cheapest on a phone.
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
        Case("filter response", lambda: _map(keras_normpack.FilterResponseNormalization()), MOBILE),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.target != "mobile":
            return
        found: dict[type, list[LayerFacts]] = {}
        for layer in facts.of_kind(Kind.NORM):
            if issubclass(layer.cls, keras.Layer) and not layer.is_batch_norm and layer.cls not in _WITHOUT_STATISTICS:
                found.setdefault(layer.cls, []).append(layer)
        for cls, norms in found.items():
            yield self._costly(facts, cls, norms)

    def _costly(self, facts: Facts, cls: type, norms: list[LayerFacts]) -> Finding:
        values = sum(math.prod(size or 1 for size in norm.output_shape[1:]) for norm in norms)
        one = len(norms) == 1
        which = f"`{norms[0].path}` ({cls.__name__}) computes" if one else f"{len(norms)} {cls.__name__} compute"
        message = (
            f"{which} statistics on the phone, about {OPERATIONS_PER_VALUE * values:,} multiplications and additions "
            "per sample that a folded batch normalization does not have"
        )
        cost = _sum_over(facts, norms)
        if cost:
            milliseconds, lowered, operators, operators_lowered = (figure.value for figure in cost)
            message += (
                f"; in LiteRT {operators:.0f} operators and {milliseconds:.2g} ms as written, {operators_lowered:.0f} "
                f"and {lowered:.2g} ms as exported"
            )
        return self.finding(
            *norms,
            message=message,
            why="Their statistics come from the sample, so they cannot be folded into the layer before.",
            measurements=cost,
        )


def _sum_over(facts: Facts, norms: list[LayerFacts]) -> tuple[Measurement, ...]:
    """The figures in their order, each summed over all the layers; nothing where one of them has none."""
    sums = []
    for figure in FIGURES:
        parts = [part for norm in norms if (part := facts.measure(figure, norm.path)) is not None]
        if len(parts) < len(norms):
            return ()
        sums.append(replace(parts[0], value=sum(part.value for part in parts)))
    return tuple(sums)
