"""The few samples with which a model is looked at while it trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from advisor.facts import DataFacts, gather_facts
from advisor.facts.data_source import look_into
from advisor.facts.read_data import KERAS_BATCH_SIZE, read_data
from advisor.graph import ModelGraph
from advisor.training.soft_labels import one_hot

KEPT = 256
_ON_ONE_HOT = frozenset({"CategoricalCrossentropy", "CategoricalFocalCrossentropy"})


@dataclass(frozen=True, eq=False)
class Samples:
    """A few batches, in memory, so that the data they come from is not read again while training reads it.

    Attributes:
        batches: Pairs of inputs and targets, NumPy arrays.
        batch_size: Batch size of the data they come from; None for arrays.
    """

    batches: tuple[tuple[Any, Any], ...]
    batch_size: int | None

    def facts(self, graph: ModelGraph) -> DataFacts:
        """Facts of the samples, in the structure of a model's inputs.

        Args:
            graph: Graph of the model.

        Returns:
            The facts; the size of the data they come from is not among them.

        Raises:
            ValueError: If they do not fit the model.
        """
        fitting = replace(self, batches=_with_labels_for(graph, self.batches))
        facts = read_data(fitting, graph, batch_size=self.batch_size or KERAS_BATCH_SIZE, look_at=KEPT)
        return replace(facts, samples=None, batch_size=self.batch_size)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return ((x,) if y is None else (x, y) for x, y in self.batches)


def _with_labels_for(graph: ModelGraph, batches: tuple[tuple[Any, Any], ...]) -> tuple[tuple[Any, Any], ...]:
    """The batches, their class numbers one-hot where the loss takes nothing else.

    A training plan that smooths or mixes labels trains with them one-hot, while the user's data stay as they are.
    """
    heads = gather_facts(graph).model.heads
    classes = heads[0].units if len(heads) == 1 and heads[0].loss and heads[0].loss.name in _ON_ONE_HOT else None
    if classes is None:
        return batches
    return tuple((x, None if y is None else one_hot(y, classes).numpy()) for x, y in batches)


def samples_of(data: Any) -> Samples:
    """The first or evenly spread batches of a data set, or random rows of arrays: about 256 samples.

    Args:
        data: What `fit` takes, but for generators.

    Returns:
        The samples.

    Raises:
        TypeError: If the data is of a kind that cannot be read twice, or that `fit` does not take.
        ValueError: If it is empty, or its arrays differ in length.
    """
    source = look_into(data, sample_shape=None, look_at=KEPT, seed=0)
    return Samples(source.batches, source.batch_size)
