"""A406: few series, and no augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

import keras_normpack
from advisor.facts import Facts
from advisor.graph import LayerSpec
from advisor.rules.augmentation.small_sets import samples_per_class, small_unaugmented_set
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, PlanChange, Severity
from advisor.rules.inputs.scaling import is_masked
from advisor.rules.registry import rule

SHIFT = 0.1
NOISE = 0.05
"""Deviation of the noise beside that of the series."""

SCALING = 0.1


def _model(*before: Any) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((50, 2)),
            *before,
            layers.Conv1D(4, 5, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _masked() -> keras.Model:
    model = keras.Sequential(
        [keras.Input((50, 2)), layers.Masking(), layers.LSTM(4), layers.Dense(2, activation="softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _series(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).normal(size=(count, 50, 2)).cumsum(axis=1), np.arange(count) % 2


@rule
class UnaugmentedSeries(Rule):
    """There are few series of each class, and the network always sees the same ones.

    What it does:
        Speaks for the classification of series with fewer than 5,000 of each class and no augmentation layer in the
        model, unless a `Masking` layer needs padding to stay as it is. Silent in runs of fewer than 8 epochs, 20 with
        recurrent layers, or 200 steps. What a data set augments by itself cannot be seen.

    Why it matters:
        A network that sees the same series in every epoch learns the noise of the sensor with the signal. Um et al.
        went from 77.5 to 86.9 % on movements of Parkinson's patients with augmentation that fits. A network of one
        hidden layer on 400 engine sounds (FordA) is right for 67.2 % of new ones as they are, for 81.4 % with what this
        rule plans, nearly all of it by the shift; on 500 heartbeats (ECG5000), which begin at the same place, it makes
        no difference (94.5 and 94.4 %; means of 3 seeds). Networks that do not care for the place by themselves have
        less to gain.

    Example:
        ```python
        model.fit(series, labels, epochs=50)  # 100 of each class
        ```

    Fix:
        No change to the model. The training plan moves each series by up to a tenth of its length, which stands for
        windows cut at random, multiplies it by a random number near 1 (deviation 0.1) and adds noise of 1/20 of the
        deviation of the data. Validation data is left as it is.
    """

    code = "A406"
    name = "unaugmented-series"
    severity = Severity.INFO
    requires = frozenset({Requirement.GRAPH, Requirement.SAMPLES})
    references = ("um-2017", "iwana-2021")

    VALID = (
        Case(
            "augmented in the model",
            lambda: _model(keras_normpack.RandomJitter(0.1)),
            {"data": _series},
        ),
        Case("padding that a mask looks for", _masked, {"data": _series}),
    )
    INVALID = (Case("thirty series of each class", _model, {"data": _series}),)

    def check(self, facts: Facts) -> Iterator[Finding]:
        data = small_unaugmented_set(facts, "series")
        if data is None or (facts.graph.inputs and is_masked(facts, facts.graph.inputs[0].path)):
            return
        (series,) = data.inputs
        if not series.deviation > 0:
            return
        specs = (
            LayerSpec(keras_normpack.RandomTimeShift, {"factor": SHIFT, "fill_mode": "nearest"}),
            LayerSpec(keras_normpack.RandomScaling, {"stddev": SCALING}),
            LayerSpec(keras_normpack.RandomJitter, {"stddev": NOISE * series.deviation}),
        )
        yield self.finding(
            message=f"{data.samples_per_class:,.0f} training series of each class, and no augmentation in the model",
            why="The network sees the same series in every epoch and learns their noise by heart. (If your data set "
            "changes them already, leave this out.)",
            plan=(PlanChange("augmentation", {"layers": specs}, "shift and scale the training series and add noise"),),
            measurements=(samples_per_class(data),),
        )
