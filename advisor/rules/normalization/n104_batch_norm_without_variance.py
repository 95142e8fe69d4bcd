"""N104: batch normalization that sees one value per channel."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, LayerFacts
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Severity
from advisor.rules.normalization.batch_statistics import has_no_variance
from advisor.rules.normalization.choice import layer_norm
from advisor.rules.normalization.replacement import replacement
from advisor.rules.normalization.surroundings import overridden_mode, reads_data
from advisor.rules.registry import rule


def _dense(norm: keras.Layer, units: int = 8) -> keras.Model:
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(units, use_bias=False), norm, layers.ReLU(), layers.Dense(2)]
    )


def _pooled(norm: keras.Layer) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 3),
            layers.GlobalAveragePooling2D(keepdims=True),
            norm,
            layers.Conv2D(2, 1),
        ]
    )


def _maps() -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization()])


def _on_data() -> keras.Model:
    return keras.Sequential([keras.Input((8,)), layers.BatchNormalization(), layers.Dense(2)])


@rule
class BatchNormWithoutVariance(Rule):
    """Batch normalization of feature vectors at batch 1.

    What it does:
        Finds batch normalization of dense features, or of maps with a single position, where each replica sees one
        sample per step. Frozen layers use no batch statistics; calls with `training=False` do, as `fit` overrides that
        argument.

    Why it matters:
        The mean of a single value is the value itself, so that `x − mean` is zero: in training the layer puts out
        `beta`, whatever comes in, and nothing before it gets a gradient.

    Example:
        ```python
        model = keras.Sequential([layers.Dense(64), layers.BatchNormalization(), layers.ReLU(), layers.Dense(1)])
        model.fit(features, targets, batch_size=1)
        ```

    Fix:
        Puts layer normalization in its place; `gamma` and `beta` are kept. Straight behind the input, where each
        feature has a scale of its own, and with fewer than 8 features there is no fix: standardize the data, leave the
        normalization out, or enlarge the batch. Safety: retrain.
    """

    code = "N104"
    name = "batch-norm-without-variance"
    severity = Severity.ERROR
    requires = frozenset({Requirement.BATCH_SIZE})
    references = ("ba-2016", "keras-20285")

    VALID = (
        Case("batch 2", lambda: _dense(layers.BatchNormalization()), {"batch_size": 2}),
        Case("maps, whose positions vary", _maps, {"batch_size": 1}),
        Case("frozen", lambda: _dense(layers.BatchNormalization(trainable=False)), {"batch_size": 1}),
        Case("layer normalization", lambda: _dense(layers.LayerNormalization()), {"batch_size": 1}),
    )
    INVALID = (
        Case(
            "batch 1",
            lambda: _dense(layers.BatchNormalization()),
            {"batch_size": 1},
            lambda: _dense(layers.LayerNormalization()),
        ),
        Case(
            "one sample per replica",
            lambda: _dense(layers.BatchNormalization(center=False)),
            {"batch_size": 8, "replicas": 8},
            lambda: _dense(layers.LayerNormalization(center=False)),
        ),
        Case(
            "maps with one position",
            lambda: _pooled(layers.BatchNormalization()),
            {"batch_size": 1},
            lambda: _pooled(layers.LayerNormalization()),
        ),
        Case("vectors of 4 features", lambda: _dense(layers.BatchNormalization(), units=4), {"batch_size": 1}),
        Case("straight behind the input", _on_data, {"batch_size": 1}),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for norm in facts.batch_norms():
            if has_no_variance(facts, norm) and norm.trainable:
                yield self._constant(facts, norm)

    def _constant(self, facts: Facts, norm: LayerFacts) -> Finding:
        choice = None if reads_data(facts, norm) else layer_norm(norm, "each sample is normalized by its own features")
        return self.finding(
            norm,
            message=f"`{norm.path}` sees a single value per feature in a batch of 1, and their variance is zero",
            why="In training it puts out `beta` whatever comes in, and nothing before it learns."
            + overridden_mode(facts, norm),
            fix=replacement(norm, choice),
        )
