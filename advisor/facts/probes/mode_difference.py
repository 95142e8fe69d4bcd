"""How far training mode and inference mode are apart, which shows moving averages that lag."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from advisor.facts.data_facts import DataFacts
from advisor.facts.measurement import Measurement
from advisor.facts.probes.samples import Clock
from advisor.graph import ModelGraph
from advisor.graph.forward import forward

MAX_BATCHES = 4


@dataclass(frozen=True, eq=False)
class ModeDifference:
    """The probe `mode_difference`: the difference of outputs, relative to how much they vary.

    For the same inputs, RMS(training - inference) / deviation(training): of a batch normalization on the inputs that
    inference mode gives it, in batches of the planned size, or for the path `""` of the whole model's first output,
    dropout included. A layer inside a shared model counts by its largest difference.
    """

    graph: ModelGraph
    data: DataFacts
    seed: int
    clock: Clock

    def measure(self, path: str) -> Measurement | None:
        """The difference at a batch normalization, or of the model for `""`; None for other layers."""
        differences = self._of_model if path == "" else self._of_norms.get(path, [])
        if not differences:
            return None
        return Measurement(
            name="training and inference differ, relative to the deviation",
            value=float(np.median(differences)),
            unit="1",
            samples=sum(len(keras.tree.flatten(x)[0]) for x in self._batches),
            seed=self.seed,
        )

    @property
    def _batches(self) -> list[Any]:
        return [x for x, _ in self.data.batches[:MAX_BATCHES]]

    @cached_property
    def _of_norms(self) -> Mapping[str, list[float]]:
        norms = {
            node.path: node.operation
            for node in self.graph.leaves()
            if isinstance(node.operation, keras.layers.BatchNormalization) and node.call is not None
        }
        found: dict[str, list[float]] = defaultdict(list)
        if norms and self.clock.left > 0:
            for batch in self.clock.in_time(self._batches, "Comparing training and inference"):
                for path, runs in forward(self.graph, batch, norms, lambda path, x: _apart(norms[path], x)).items():
                    found[path].extend([max(runs)] if runs else [])
        return found

    @cached_property
    def _of_model(self) -> list[float]:
        if self.clock.left <= 0:
            return []
        return [
            _apart(self.graph.model, keras.tree.map_structure(keras.ops.convert_to_tensor, batch))
            for batch in self.clock.in_time(self._batches, "Comparing training and inference")
        ]


def _apart(layer: Any, inputs: Any) -> float:
    # What training mode updates goes to the scope and vanishes with it.
    with keras.StatelessScope():
        training, inference = (_first(layer(inputs, training=mode)) for mode in (True, False))
    deviation = float(training.std())
    difference = float(np.sqrt(np.mean(np.square(training - inference))))
    return difference / deviation if deviation > 0 else 0.0


def _first(outputs: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(keras.tree.flatten(outputs)[0]), dtype="float64")
