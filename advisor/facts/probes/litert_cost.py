"""What a layer costs on a phone: as it is written, and in the form in which the export writes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import keras

from advisor.facts.measurement import Measurement
from advisor.facts.probes.samples import Clock
from advisor.graph import ModelGraph
from advisor.litert.calls import LayerCall
from advisor.litert.choice import Choice, choose_form


class LiteRTCost:
    """Latency and operators of single layers in LiteRT: on one thread, for one sample, each layer alone.

    A layer is made anew from its configuration in float32, since the figures do not depend on the weights.

    Args:
        graph: The model's graph.
        clock: The time that measuring may take.
    """

    def __init__(self, graph: ModelGraph, clock: Clock) -> None:
        self._graph = graph
        self._clock = clock

    def milliseconds(self, path: str) -> Measurement | None:
        """Milliseconds of the layer as it is written."""
        return self._measured(path, "latency as the layer is written", "ms", lambda choice: choice.own.milliseconds)

    def milliseconds_lowered(self, path: str) -> Measurement | None:
        """Milliseconds of the layer in the form in which the export writes it."""
        return self._measured(path, "latency as exported", "ms", lambda choice: choice.cost.milliseconds)

    def operators(self, path: str) -> Measurement | None:
        """Operators of the layer as it is written."""
        return self._measured(path, "operators as the layer is written", "1", lambda choice: choice.own.operators)

    def operators_lowered(self, path: str) -> Measurement | None:
        """Operators of the layer in the form in which the export writes it."""
        return self._measured(path, "operators as exported", "1", lambda choice: choice.cost.operators)

    def _measured(self, path: str, name: str, unit: str, read: Callable[[Choice], float]) -> Measurement | None:
        choice = self._choice(path)
        return None if choice is None else Measurement(name, float(read(choice)), unit, samples=1, seed=0)

    def _choice(self, path: str) -> Choice | None:
        node = self._graph.nodes[path]
        shape = _one_sample(node.input_shapes)
        if self._clock.left <= 0 or shape is None:
            return None
        begin = time.monotonic()
        self._clock.say(f"the cost of {path} in LiteRT")
        try:
            alone = _alone(node.operation, shape)
            return None if alone is None else choose_form(LayerCall(alone, keras.KerasTensor(shape, "float32")))
        finally:
            self._clock.left = max(0.0, self._clock.left - (time.monotonic() - begin))


def _one_sample(shapes: Sequence[tuple[int | None, ...]]) -> tuple[int, ...] | None:
    """The shape of the only input with a batch of one; None where there are several, or a size is open."""
    if len(shapes) != 1:
        return None
    known = [size for size in shapes[0][1:] if size is not None]
    return (1, *known) if len(known) == len(shapes[0]) - 1 else None


def _alone(layer: Any, shape: tuple[int, ...]) -> Any | None:
    try:
        copy = type(layer).from_config({**layer.get_config(), "dtype": "float32"})
        copy.build(shape)
    except Exception:
        # A layer of the user's that cannot be made from its configuration has no figure; others still have theirs.
        return None
    return copy
