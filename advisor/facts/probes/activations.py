"""What flows through a model: mean and deviation of its layers' outputs, dead units, saturated ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from advisor.facts.data_facts import DataFacts
from advisor.facts.kinds import Kind
from advisor.facts.layer_facts import LINEAR_KINDS, LayerFacts, layer_facts
from advisor.facts.measurement import Measurement
from advisor.facts.probes.samples import Clock, chunks
from advisor.graph import ModelGraph
from advisor.graph.forward import forward_outputs

MAX_SAMPLES = 64
# A unit that is zero for fewer samples may wake up for the next.
FEWEST_FOR_DEATH = 32
NEAR_THE_LIMIT = 0.01

_LOOKED_AT = LINEAR_KINDS | {Kind.ACTIVATION, Kind.NORM, Kind.RECURRENT, Kind.ATTENTION}
_ZERO_BELOW_ZERO = frozenset({"relu", "relu6"})
_LIMITS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


@dataclass(frozen=True, eq=False)
class _Chunk:
    """What one run of one layer put out; the channels' largest values, None where the layer cannot die."""

    values: int
    total: float
    squares: float
    saturated: int | None
    largest: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Activations:
    """The probes `activation_mean`, `activation_deviation`, `dead_share` and `saturated_share`.

    Layers with weights, normalizations and activations are looked at, in inference mode, all in the same runs.
    """

    graph: ModelGraph
    data: DataFacts
    seed: int
    clock: Clock

    def mean(self, path: str) -> Measurement | None:
        """Mean of a layer's outputs."""
        figures = self._figures(path)
        return figures and self._measured("mean of the outputs", figures[0])

    def deviation(self, path: str) -> Measurement | None:
        """Standard deviation of a layer's outputs."""
        figures = self._figures(path)
        return figures and self._measured("deviation of the outputs", figures[1])

    def dead_share(self, path: str) -> Measurement | None:
        """Share of the channels of a ReLU that were zero for all samples; None for other layers and few samples."""
        largest = [chunk.largest for chunk in self._seen.get(path, ()) if chunk.largest is not None]
        if not largest or self._samples < FEWEST_FOR_DEATH:
            return None
        return self._measured("share of units that never fire", float(np.mean(np.max(largest, axis=0) <= 0)))

    def saturated_share(self, path: str) -> Measurement | None:
        """Share of the outputs of a tanh or sigmoid that are within 0.01 of a limit; None for other layers."""
        saturated = [chunk for chunk in self._seen.get(path, ()) if chunk.saturated is not None]
        if not saturated:
            return None
        share = sum(chunk.saturated or 0 for chunk in saturated) / sum(chunk.values for chunk in saturated)
        return self._measured("share of saturated outputs", share)

    def _figures(self, path: str) -> tuple[float, float] | None:
        seen = self._seen.get(path)
        if not seen:
            return None
        values = sum(chunk.values for chunk in seen)
        mean = sum(chunk.total for chunk in seen) / values
        return mean, float(np.sqrt(max(0.0, sum(chunk.squares for chunk in seen) / values - mean**2)))

    def _measured(self, name: str, value: float) -> Measurement:
        return Measurement(name, value, "1", self._samples, self.seed)

    @property
    def _samples(self) -> int:
        return self._run[0]

    @property
    def _seen(self) -> Mapping[str, list[_Chunk]]:
        return self._run[1]

    @cached_property
    def _run(self) -> tuple[int, Mapping[str, list[_Chunk]]]:
        layers = {node.path: layer_facts(node) for node in self.graph.leaves() if node.call is not None}
        watched = {path: layer for path, layer in layers.items() if layer.kind in _LOOKED_AT}
        seen: dict[str, list[_Chunk]] = defaultdict(list)
        samples = 0
        if watched and self.clock.left > 0:
            given = chunks(self.data, self.seed, MAX_SAMPLES)
            for inputs, count in self.clock.in_time(given, "Measuring activations"):
                outputs = forward_outputs(
                    self.graph, inputs, watched, lambda path, tensor: _summary(watched[path], tensor)
                )
                for path, runs in outputs.items():
                    seen[path].extend(run for run in runs if run is not None)
                samples += count
        return samples, seen


def _summary(layer: LayerFacts, tensor: Any) -> _Chunk | None:
    values = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))
    if not values.size or not np.all(np.isfinite(values)):
        return None
    limits = _LIMITS.get(layer.activation or "")
    near = None
    if limits is not None:
        near = int(np.sum((values <= limits[0] + NEAR_THE_LIMIT) | (values >= limits[1] - NEAR_THE_LIMIT)))
    dies = layer.activation in _ZERO_BELOW_ZERO and values.ndim > layer.channel_axis > 0
    return _Chunk(
        values=values.size,
        total=float(values.sum(dtype="float64")),
        squares=float(np.square(values, dtype="float64").sum()),
        saturated=near,
        largest=np.moveaxis(values, layer.channel_axis, -1).reshape(-1, values.shape[layer.channel_axis]).max(axis=0)
        if dies
        else None,
    )
