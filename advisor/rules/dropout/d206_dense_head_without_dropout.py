"""D206: a large dense head without dropout."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, Head, Kind, LayerFacts
from advisor.graph import InsertBefore, LayerSpec
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.dropout.places import is_active, takes_dropout
from advisor.rules.exposure import is_too_short_to_overfit
from advisor.rules.finding import Confidence, Finding, Fix, Severity
from advisor.rules.registry import rule

WEIGHTS_PER_SAMPLE = 1.0
"""A head with fewer weights than this per training sample is left alone."""

_WITHIN_HEAD = frozenset({Kind.DENSE, Kind.ACTIVATION, Kind.NORM, Kind.RESHAPE, Kind.POOLING, Kind.DROPOUT})
_RAW = frozenset({Kind.INPUT, Kind.PREPROCESSING, Kind.AUGMENTATION})


def rate_for(weights_per_sample: float) -> float:
    """Dropout rate for a head: `0.2 + 0.1 · log10(weights per sample)`, within 0.2 to 0.5.

    Example:
    >>> [rate_for(ratio) for ratio in (1, 10, 100, 1000, 1e6)]
    [0.2, 0.3, 0.4, 0.5, 0.5]
    """
    return round(min(0.5, max(0.2, 0.2 + 0.1 * math.log10(weights_per_sample))), 1)


def _samples(count: int) -> dict[str, Any]:
    def data() -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(0)
        return generator.normal(size=(count, 8, 8, 3)).astype("float32"), generator.integers(0, 2, count)

    return {"data": data, "batch_size": 16}


def _classifier(*, hidden: int, rate: float | None = None, before_flatten: bool = False) -> keras.Model:
    dropout = [layers.Dropout(rate)] if rate else []
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            *(dropout if before_flatten else []),
            layers.Flatten(),
            layers.Dense(hidden, activation="relu"),
            *([] if before_flatten else dropout),
            layers.Dense(2, activation="softmax"),
        ]
    )


def _norm_after_head() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dense(2, use_bias=False),
            layers.BatchNormalization(),
        ]
    )


def _linear_model() -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2, activation="softmax")])


@rule
class DenseHeadWithoutDropout(Rule):
    """A dense head with more weights than training samples has no dropout.

    What it does:
        Counts the trainable weights of the dense layers at the end of the model and divides them by the number of
        training samples. From one weight per sample on it asks for dropout, unless there is some in the head or the
        run is planned to end before 200 steps, in which nothing is learned by heart.

    Why it matters:
        Such a head can learn the samples by heart. Dropout trains an ensemble of thinned heads that share weights, and
        the cited paper finds lower test errors with it wherever a network is large for its data.

    Example:
        ```python
        layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dense(10)  # on 2000 images
        ```

    Fix:
        Inserts `Dropout` before the last dense layer, with a rate of 0.2 + 0.1·log10(weights per sample), at least 0.2
        and at most 0.5. Safety: retrain.
    """

    code = "D206"
    name = "dense-head-without-dropout"
    severity = Severity.INFO
    requires = frozenset({Requirement.GRAPH, Requirement.SAMPLES})
    references = ("srivastava-2014",)
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("dropout in the head", lambda: _classifier(hidden=8, rate=0.5), _samples(64)),
        Case(
            "dropout on what the head reads",
            lambda: _classifier(hidden=8, rate=0.2, before_flatten=True),
            _samples(64),
        ),
        Case("more samples than weights", lambda: _classifier(hidden=2), _samples(320)),
        Case("a normalization after the last dense layer", _norm_after_head, _samples(64)),
        Case("a linear model, which has no hidden features", _linear_model, _samples(64)),
    )
    INVALID = (
        Case(
            "18 weights per sample",
            lambda: _classifier(hidden=8),
            _samples(64),
            expected=lambda: _classifier(hidden=8, rate=0.3),
        ),
        Case(
            "145 weights per sample",
            lambda: _classifier(hidden=32),
            _samples(32),
            expected=lambda: _classifier(hidden=32, rate=0.4),
        ),
        Case(
            "two weights per sample",
            lambda: _classifier(hidden=2),
            _samples(160),
            expected=lambda: _classifier(hidden=2, rate=0.2),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.data is None or not facts.data.samples or is_too_short_to_overfit(facts, fewest_epochs=1):
            return
        for head in {head.linear: head for head in facts.model.heads}.values():
            dense = _dense_layers(facts, head)
            weights = sum(layer.params for layer in dense if layer.trainable)
            ratio = weights / facts.data.samples
            if ratio < WEIGHTS_PER_SAMPLE or not _may_have_dropout(facts, head):
                continue
            rate = rate_for(ratio)
            last = dense[0]
            insertion = InsertBefore(last.path, (LayerSpec(layers.Dropout, {"rate": rate}),))
            yield self.finding(
                *dense,
                message=f"the dense head ending in `{last.path}` has {weights:,} weights for {facts.data.samples:,} "
                f"training samples ({ratio:.3g} each) and no dropout",
                why="It has enough weights to learn the samples by heart.",
                fix=Fix(f"insert Dropout({rate}) before `{last.path}`", (insertion,), "retrain")
                if takes_dropout(facts, head)
                else None,
            )


def _dense_layers(facts: Facts, head: Head) -> list[LayerFacts]:
    """The dense layers of a head that gives one vector per sample, last one first.

    Empty where dropout is in or right before the head, or the only dense layer reads the raw input.
    """
    if head.linear is None or facts[head.linear].kind is not Kind.DENSE or len(facts[head.linear].output_shape) != 2:
        return []
    found: list[LayerFacts] = []
    layer: LayerFacts | None = facts[head.linear]
    while layer is not None and layer.kind in _WITHIN_HEAD:
        if is_active(layer):
            return []
        if layer.kind is Kind.DENSE:
            found.append(layer)
        layer = facts.sole_producer(layer.path)
    reads_raw_input = layer is not None and layer.kind in _RAW
    return [] if reads_raw_input and len(found) == 1 else found


def _may_have_dropout(facts: Facts, head: Head) -> bool:
    """Whether no batch normalization would come after dropout in the head (D201), which shifts its variance."""
    assert head.linear is not None
    return not any(facts[path].kind is Kind.NORM for path in facts.graph.downstream(head.linear))
