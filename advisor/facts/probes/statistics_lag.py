"""How far the moving averages of batch normalization are behind the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from advisor.facts.data_facts import DataFacts
from advisor.facts.measurement import Measurement
from advisor.facts.probes.samples import Clock
from advisor.facts.structures import sample_count
from advisor.graph import ModelGraph
from keras_normpack.callbacks.batch_statistics import Moments, population_moments, training_batch_normalizations

MAX_SAMPLES = 256


@dataclass(frozen=True, eq=False)
class StatisticsLag:
    """The probe `statistics_lag`: moving averages against the statistics of the data under the present weights.

    Inference normalizes by the moving mean m and variance v what has mean μ and variance σ² in training mode. Instead
    of mean 0 and deviation 1, a channel then has

        mean (μ - m) / √(v + ε)    and deviation √((σ² + ε) / (v + ε)),

    which is as far off as the root of the sum of the squares of that mean and of that deviation less 1. The figure of
    a layer is the median over its channels. Unlike `mode_difference` it does not grow with the noise of small batches,
    as all samples are taken together.
    """

    graph: ModelGraph
    data: DataFacts
    seed: int
    clock: Clock

    def measure(self, path: str) -> Measurement | None:
        """The lag of a batch normalization that trains; None for other layers."""
        layer = self.graph.nodes[path].operation if path else None
        moments = self._moments.get(id(layer))
        if moments is None:
            return None
        value = _off(layer, moments)
        return Measurement("lag of the moving averages, in deviations", value, "1", self._samples, self.seed)

    @property
    def _samples(self) -> int:
        return self._run[0]

    @property
    def _moments(self) -> Mapping[int, Moments]:
        return self._run[1]

    @cached_property
    def _run(self) -> tuple[int, Mapping[int, Moments]]:
        layers = training_batch_normalizations(self.graph.model)
        if not layers or self.clock.left <= 0:
            return 0, {}
        samples = 0

        def batches() -> Iterator[Any]:
            nonlocal samples
            for inputs, _ in self.clock.in_time(self.data.batches, "Comparing moving averages"):
                yield keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
                samples += sample_count(inputs)
                if samples >= MAX_SAMPLES:
                    return

        try:
            found = population_moments(self.graph.model, layers, batches())
        except FloatingPointError:
            return 0, {}  # weights that are no numbers have no statistics
        return samples, {id(layer): moments for layer, moments in found}


def _off(layer: keras.layers.BatchNormalization, moments: Moments) -> float:
    mean, variance = (
        keras.ops.convert_to_numpy(average).astype("float64") for average in (layer.moving_mean, layer.moving_variance)
    )
    deviation = np.sqrt(variance + layer.epsilon)
    shift = (moments.mean - mean) / deviation
    stretch = np.sqrt(moments.variance + layer.epsilon) / deviation
    return float(np.median(np.hypot(shift, stretch - 1)))
