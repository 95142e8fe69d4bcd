"""Data facts out of whatever `fit` takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from advisor.facts.array_facts import array_facts, common_shape, padding_of
from advisor.facts.census import Census, NonFinite
from advisor.facts.data_checks import (
    check_labels,
    check_tokens,
    fit_inputs,
    fit_targets,
    is_sparse_target,
)
from advisor.facts.data_facts import ArrayFacts, DataFacts, Modality
from advisor.facts.data_source import DataSource, look_into
from advisor.facts.documents import is_document_like
from advisor.facts.facts import gather_facts
from advisor.facts.modality import modality_of
from advisor.facts.model_facts import Head
from advisor.facts.structures import finite, joined, leaves, rows, sample_count, sample_shapes
from advisor.graph import ModelGraph
from advisor.graph.keras_internals import functional_form, input_structure

LOOK_AT = 512
"""Samples that are looked at: the median over channels of a variance is then known to a few per cent."""

KERAS_BATCH_SIZE = 32
"""Batch size of `fit` where none is given."""


def read_data(
    data: Any, model_graph: ModelGraph, *, batch_size: int | None = None, look_at: int = LOOK_AT, seed: int = 0
) -> DataFacts:
    """Look at data without consuming or fully reading it, and check that it fits the model.

    Args:
        data: What `fit` takes: arrays, `(x, y)` or `(x, y, sample_weight)`, dicts and lists of arrays, pandas objects,
            a batched `tf.data.Dataset`, `keras.utils.PyDataset` or torch `DataLoader`.
        model_graph: Graph of the model the data is for.
        batch_size: Batch size planned for training, at least 1; the data set's own when None.
        look_at: About how many samples to look at, at least 1. Labels, equal samples, NaN and infinite values are
            counted in all rows of arrays, and in as much of a stream as comes in two seconds.
        seed: Seed of the choice of samples.

    Returns:
        The facts.

    Raises:
        TypeError: If the data is of a kind that `fit` does not take, or a generator, which looking at would consume.
        ValueError: If the data is empty, does not fit the model, or holds tokens outside the `Embedding` that reads
            them, or labels outside the classes of the head.

    Example:
    >>> import keras, numpy as np
    >>> from advisor.graph import read_graph
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    >>> facts = read_data((np.ones((40, 8, 8, 1)), np.arange(40) % 3), read_graph(model), batch_size=16)
    >>> facts.samples, facts.classes, facts.modality, len(facts.batches)
    (40, 3, 'image', 2)
    """
    for name, value in (("batch_size", batch_size), ("look_at", look_at)):
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    census = Census(model_graph)
    source = look_into(data, sample_shape=_sample_shape(model_graph), look_at=look_at, seed=seed, read_on=census.add)
    for pair in _counted_pairs(source):
        census.add(pair)
    looked = [(fit_inputs(model_graph, x, y), fit_targets(model_graph, y)) for x, y in source.batches]
    for position, node in enumerate(model_graph.inputs):
        for x, _ in looked:
            check_tokens(model_graph, node, x[position])
    targets = _targets(model_graph, source, looked)
    heads = gather_facts(model_graph, trained=False).model.heads
    for head, arrays in zip(heads, targets, strict=False):
        for array in arrays:
            check_labels(model_graph.model, head, _output_rank(model_graph, head), array)
    columns = [[x[position] for x, _ in looked] for position in range(len(looked[0][0]))]
    inputs = tuple(array_facts(column, count) for column, count in zip(columns, census.inputs, strict=True))
    modality = modality_of(model_graph, inputs[0], _joined(columns[0]))
    labels = targets[0] if targets else []
    classes = _classes(model_graph, heads, labels, complete=source.whole is not None)
    return DataFacts(
        samples=source.samples,
        batch_size=source.batch_size,
        inputs=tuple(_padded(facts, column, modality) for facts, column in zip(inputs, columns, strict=True)),
        target=array_facts(labels, _of_first(census.targets)) if labels else None,
        classes=classes,
        modality=modality,
        looked_at=sum(len(x[0]) for x, _ in looked),
        batches=tuple(_rebatched(model_graph, source, looked, batch_size)),
        document_like=_document_like(modality, _joined(columns[0])),
        class_counts=census.class_counts(classes),
        counted=census.samples,
        complete=source.complete and census.samples == source.samples,
        fingerprints=census.fingerprints,
        prepares_itself=source.prepares_itself,
    )


def first_inputs(data: Any) -> Any:
    """The inputs of a few samples as NumPy arrays, in the structure of the data.

    Args:
        data: What `fit` takes.

    Returns:
        Arrays of shape `(batch, …)`.

    Raises:
        TypeError: If the data is of a kind that `fit` does not take, or a generator.
        ValueError: If it is empty.

    Example:
    >>> import numpy as np
    >>> first_inputs((np.ones((10, 3)), np.ones(10))).shape
    (2, 3)
    """
    return look_into(data, sample_shape=None, look_at=2, seed=0).batches[0][0]


Looked = Sequence[tuple[list[np.ndarray], list[np.ndarray | None]]]


def _sample_shape(graph: ModelGraph) -> tuple[int | None, ...] | None:
    return graph.inputs[0].output_shapes[0][1:] if graph.inputs else None


def _counted_pairs(source: DataSource) -> tuple[Any, ...]:
    """What is counted: all rows where they are in memory as arrays, else the batches that were looked at."""
    if source.whole is None:
        return source.batches
    # Reading all of a file that is only mapped into memory would take long, and a sparse matrix has no rows to hash.
    in_memory = all(type(leaf) is np.ndarray for leaf in leaves(source.whole))
    return (source.whole,) if in_memory else source.batches


def _targets(graph: ModelGraph, source: DataSource, looked: Looked) -> list[list[np.ndarray]]:
    """The arrays of every target: all rows of arrays in memory, else the batches that were looked at."""
    flat = [fit_targets(graph, source.whole[1])] if source.whole else [y for _, y in looked]
    return [[y for y in column if y is not None] for column in zip(*flat, strict=True)]


def _output_rank(graph: ModelGraph, head: Head) -> int:
    source = graph.outputs[head.output]
    return len(graph.nodes[source.path].output_shapes[source.index])


def _of_first(counts: Sequence[NonFinite]) -> NonFinite:
    return counts[0] if counts else NonFinite()


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    """The samples of all batches that hold finite numbers only; None where shapes differ or they are no numbers."""
    if None in common_shape(arrays) or arrays[0].dtype.kind not in "biuf":
        return None
    return finite(np.concatenate(arrays))


_SEQUENCES = frozenset({"tokens", "series", "waveform", "spectrogram"})


def _padded(facts: ArrayFacts, arrays: Sequence[np.ndarray], modality: Modality) -> ArrayFacts:
    are_sequences = modality in _SEQUENCES and facts.shape and arrays[0].dtype.kind in "biuf"
    return replace(facts, padding=padding_of(arrays)) if are_sequences else facts


def _document_like(modality: Modality, images: np.ndarray | None) -> bool | None:
    if modality != "image" or images is None or not len(images):
        return None
    return is_document_like(images)


def _classes(graph: ModelGraph, heads: Sequence[Head], labels: Sequence[np.ndarray], *, complete: bool) -> int | None:
    """Number of classes for class indices or one-hot labels; None for other targets."""
    labels = [finite(y) for y in labels]
    labels = [y for y in labels if y.size]
    if not labels or labels[0].dtype.kind not in "biuf" or not all(np.all(y == np.round(y)) for y in labels):
        return None
    largest = int(max(y.max() for y in labels))
    if heads and all(is_sparse_target(heads[0], _output_rank(graph, heads[0]), y) for y in labels):
        # A few batches may lack a class; the head knows how many there are.
        return largest + 1 if complete else heads[0].units
    width = labels[0].shape[-1] if labels[0].ndim > 1 else 1
    if width > 1:
        return width if all(np.all(y >= 0) and np.all(y.sum(axis=-1) == 1) for y in labels) else None
    binary = all(np.isin(y, (0, 1)).all() for y in labels)
    if heads:
        return 2 if binary else None  # other numbers for a single unit are a regression
    return largest + 1 if labels[0].dtype.kind in "biu" else None


def _rebatched(
    graph: ModelGraph, source: DataSource, looked: Looked, batch_size: int | None
) -> Iterator[tuple[Any, Any]]:
    """The samples that were looked at, in batches of the planned size; as they came where their shapes differ.

    Samples with NaN or infinite values are left out.
    """
    functional = functional_form(graph.model)
    structure = input_structure(functional) if functional is not None else source.batches[0][0]
    pairs = [
        (keras.tree.pack_sequence_as(structure, x), y) for (x, _), (_, y) in zip(looked, source.batches, strict=True)
    ]
    pairs = [pair for pair in map(finite, pairs) if sample_count(pair)]
    if not pairs:
        return
    if len(sample_shapes(pairs)) > 1:
        yield from pairs
        return
    samples = joined(pairs)
    count = sample_count(samples)
    size = batch_size or source.batch_size or KERAS_BATCH_SIZE
    for start in range(0, max(count - count % size, 1), size):
        yield rows(samples, slice(start, start + size))
