"""All that is known, in one read-only object: what the rules read instead of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from advisor.facts.data_facts import DataFacts
from advisor.facts.kinds import Kind
from advisor.facts.layer_facts import LayerFacts, layer_facts
from advisor.facts.measurement import Measurement
from advisor.facts.model_facts import ModelFacts, model_facts
from advisor.facts.padding import unmasked_padding
from advisor.facts.training_facts import TrainingFacts
from advisor.graph import ModelGraph, Node

Probe = Callable[[str], Measurement | None]

# Neighbouring positions of one feature map say nearly the same, so a map counts as this many independent values at
# most. Calibrated on real feature maps: docs/adr/0004-effective-samples.md.
INDEPENDENT_POSITIONS = 4


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a model, its data and its training run.

    Attributes:
        graph: The model's graph.
        layers: Facts of every leaf by path, in topological order.
        data: Facts of the data, or None when none was given.
        validation: Facts of the validation data, or None when none was given.
        training: Facts of the planned run.
        target: None, or `"mobile"` when the model is to run on a phone.
        task: As given to `advise`, or None to infer it.
        trained: As given to `advise`, or None to infer it.
        probes: Measuring functions by name; each takes a path and returns a `Measurement`, or None where it
            cannot tell. Empty when no data was given.
    """

    graph: ModelGraph
    layers: Mapping[str, LayerFacts]
    data: DataFacts | None = None
    validation: DataFacts | None = None
    training: TrainingFacts = field(default_factory=TrainingFacts)
    target: str | None = None
    task: str | None = None
    trained: bool | None = None
    probes: Mapping[str, Probe] = field(default_factory=dict)

    @cached_property
    def model(self) -> ModelFacts:
        """Facts of the model as a whole."""
        return model_facts(self.graph, self.layers, self.task, self.trained)

    @cached_property
    def unmasked_padding(self) -> frozenset[str]:
        """Paths of the leaves that put out padded sequences without a mask."""
        return unmasked_padding(self.graph, self.layers)

    @cached_property
    def between_recurrent(self) -> frozenset[str]:
        """Paths of all leaves between two recurrent layers, at whatever distance."""
        recurrent = [layer.path for layer in self.of_kind(Kind.RECURRENT)]
        return frozenset(self.graph.downstream(*recurrent) & self.graph.upstream(*recurrent))

    def __getitem__(self, path: str) -> LayerFacts:
        """Facts of the leaf with that path."""
        return self.layers[path]

    def of_kind(self, *kinds: Kind) -> Iterator[LayerFacts]:
        """Leaves of the given kinds, in topological order."""
        return (layer for layer in self.layers.values() if layer.kind in kinds)

    def batch_norms(self) -> Iterator[LayerFacts]:
        """Batch normalizations, in topological order; every layer once, whatever the number of its calls."""
        return (layer for layer in self.layers.values() if layer.is_batch_norm and self.graph.is_first_call(layer.path))

    def producers(self, path: str) -> tuple[LayerFacts, ...]:
        """The leaves a leaf reads."""
        return tuple(self.layers[producer] for producer in self.graph.producers(path))

    def consumers(self, path: str) -> tuple[LayerFacts, ...]:
        """The leaves that read a leaf."""
        return tuple(self.layers[consumer] for consumer in self.graph.consumers(path))

    def sole_consumer(self, path: str) -> LayerFacts | None:
        """The one leaf that reads a leaf, when there is just one and the leaf is no output of the model."""
        consumer = self.graph.sole_consumer(path)
        return self.layers[consumer] if consumer else None

    def sole_producer(self, path: str) -> LayerFacts | None:
        """The one leaf that a leaf reads, when there is just one."""
        producers = self.graph.producers(path)
        return self.layers[producers[0]] if len(producers) == 1 else None

    def averaged_batch(self, layer: LayerFacts) -> int | None:
        """Samples over which a batch normalization averages: those of its replica, of all where it is synchronized."""
        return self.training.batch_size if layer.is_synchronized else self.training.replica_batch

    def effective_samples(self, layer: LayerFacts, batch: int | None = None) -> int | None:
        """How many independent values the batch statistics of one channel rest on.

        `batch × min(positions, 4)`: neighbouring positions of one map are correlated, so a large map counts for little
        more than a small one. The batch is `averaged_batch` unless given. None when it or the shape is unknown.
        """
        batch = self.averaged_batch(layer) if batch is None else batch
        if batch is None or not layer.output_shape:
            return None
        positions = layer.positions
        return batch * min(INDEPENDENT_POSITIONS if positions is None else positions, INDEPENDENT_POSITIONS)

    def measure(self, probe: str, path: str) -> Measurement | None:
        """Measure something about a leaf; None without data, or where it cannot be measured."""
        return self.probes[probe](path) if probe in self.probes else None


def gather_facts(graph: ModelGraph, **known: Any) -> Facts:
    """Facts of a graph.

    Args:
        graph: The model's graph.
        **known: The other attributes of `Facts`, as far as they are known.

    Returns:
        The facts.

    Raises:
        ValueError: If a layer does not let itself be looked at.

    Example:
    >>> import keras
    >>> from advisor.graph import read_graph
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv")])
    >>> gather_facts(read_graph(model))["conv"].channels
    4
    """
    return Facts(graph, {node.path: _facts_of(node) for node in graph.leaves()}, **known)


def _facts_of(node: Node) -> LayerFacts:
    try:
        return layer_facts(node)
    except Exception as error:
        kind = type(node.operation).__name__
        raise ValueError(f"`{node.path}` ({kind}) cannot be looked at: {type(error).__name__}: {error}") from error
