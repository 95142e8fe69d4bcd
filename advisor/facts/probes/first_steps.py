"""The first steps of training, taken beside the model: its loss, its penalties, and the gradients of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from advisor.facts.data_facts import DataFacts
from advisor.facts.measurement import Measurement
from advisor.facts.probes.data_loss import data_loss
from advisor.facts.probes.samples import Clock, drawn, same_shapes
from advisor.facts.probes.walk import STEPS, Outcome, walk
from advisor.graph import ModelGraph

MOST_SAMPLES = 32


@dataclass(frozen=True, eq=False)
class FirstSteps:
    """The probes `gradient_norm`, `gradient_norm_later`, `penalty_ratio` and `loss_after_steps`.

    Up to 32 samples are run in training mode, and 5 steps taken on them with the optimizer the model is compiled with,
    or Adam. The steps are taken on copies of the weights: no variable of the model changes. Without labels, without
    time or where the loss cannot be told, nothing is measured.
    """

    graph: ModelGraph
    data: DataFacts
    seed: int
    clock: Clock

    def gradient_norm(self, path: str) -> Measurement | None:
        """Gradient of the loss to a layer's matrices before training, relative to both: ‖g‖ / (‖w‖ · loss)."""
        outcome = self._outcome
        if outcome is None:
            return None
        return self._relative(path, outcome.gradients, "relative gradient, at the start", outcome.loss)

    def gradient_norm_later(self, path: str) -> Measurement | None:
        """The same after the first steps."""
        if self._outcome is None or self._outcome.later is None:
            return None
        return self._relative(path, self._outcome.later, f"relative gradient, after {STEPS} steps", self._outcome.loss)

    def penalty_ratio(self, path: str) -> Measurement | None:
        """Penalty on a layer's weights, or for `""` all penalties of the model, to its loss before training."""
        outcome = self._outcome
        if outcome is None or not outcome.loss > 0:
            return None
        penalty = outcome.penalties if path == "" else self._penalty(path)
        return self._measured("penalty to loss, at the start", penalty / outcome.loss)

    def loss_after_steps(self, path: str = "") -> Measurement | None:
        """Loss after the first steps to the loss before them, of the same samples; infinite if it is no number."""
        outcome = self._outcome
        if path != "" or outcome is None or outcome.loss_later is None or not outcome.loss > 0:
            return None
        ratio = outcome.loss_later / outcome.loss
        return self._measured(f"loss after {STEPS} steps to loss before", ratio if np.isfinite(ratio) else float("inf"))

    def _relative(self, path: str, norms: Sequence[float], name: str, loss: float) -> Measurement | None:
        positions = self._matrices.get(path, [])
        weights = np.sqrt(sum(self._norm(position) ** 2 for position in positions))
        if not positions or weights == 0 or not loss > 0:
            return None
        gradient = float(np.sqrt(sum(norms[position] ** 2 for position in positions)))
        return self._measured(name, gradient / (weights * loss))

    def _norm(self, position: int) -> float:
        value = keras.ops.convert_to_numpy(self._variables[position].value)
        return float(np.linalg.norm(value.astype("float64")))

    def _measured(self, name: str, value: float) -> Measurement:
        assert self._outcome is not None
        return Measurement(name, float(value), "1", self._outcome.samples, self.seed)

    def _penalty(self, path: str) -> float:
        node = self.graph.nodes[path]
        regularized = [
            variable
            for variable in (node.operation.trainable_weights if node.is_layer else [])
            if getattr(variable, "regularizer", None) is not None
        ]
        return sum(float(keras.ops.convert_to_numpy(variable.regularizer(variable))) for variable in regularized)

    @property
    def _variables(self) -> list[Any]:
        return self.graph.model.trainable_variables

    @cached_property
    def _matrices(self) -> Mapping[str, list[int]]:
        """Positions of each leaf's trainable matrices among the model's trainable variables."""
        positions = {id(variable): position for position, variable in enumerate(self._variables)}
        return {
            node.path: [
                positions[id(variable)]
                for variable in node.operation.trainable_weights
                if id(variable) in positions and sum(size > 1 for size in variable.shape) > 1
            ]
            for node in self.graph.leaves()
            if node.is_layer
        }

    @cached_property
    def _outcome(self) -> Outcome | None:
        loss = data_loss(self.graph, self.data)
        batches = list(self.data.batches)
        if loss is None or not self._variables or self.clock.left <= 0 or not same_shapes(batches):
            return None

        def walks() -> Iterator[Outcome | None]:
            yield walk(self.graph.model, loss, *drawn(batches, self.seed, MOST_SAMPLES), seconds=self.clock.grant)

        return next(self.clock.in_time(walks(), "Taking first steps"))
