"""Where padded sequences flow, whether a mask goes with them, and how much of the data is padding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from advisor.facts.data_facts import DataFacts
from advisor.facts.kinds import Kind
from advisor.facts.layer_facts import LayerFacts
from advisor.graph import ModelGraph


def unmasked_padding(graph: ModelGraph, layers: Mapping[str, LayerFacts]) -> frozenset[str]:
    """Leaves that put out padded sequences, as `Embedding(mask_zero=True)` and `Masking` declare them, without a mask.

    The padding of a sequence lives on until an axis of time is gone. Its mask goes along with it through layers that
    support masking and is lost at the first that does not, such as a convolution or a `keras.ops` operation.

    Args:
        graph: The model's graph.
        layers: Facts of every leaf, in topological order.

    Returns:
        Their paths.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> conv = keras.layers.Conv1D(8, 3, name="conv")
    >>> text = [keras.Input((6, 3)), keras.layers.Masking(), keras.layers.Dense(4), conv]
    >>> sorted(gather_facts(read_graph(keras.Sequential(text))).unmasked_padding)
    ['conv']
    """
    masked: set[str] = set()
    unmasked: set[str] = set()
    for path, layer in layers.items():
        producers = graph.producers(path)
        if not _has_steps(layer):
            continue
        if masks_padding(layer):
            masked.add(path)
        elif any(producer in masked or producer in unmasked for producer in producers):
            carried = layer.supports_masking and all(producer in masked for producer in producers)
            (masked if carried else unmasked).add(path)
    return frozenset(unmasked)


def padding_share(graph: ModelGraph, layers: Iterable[LayerFacts], data: DataFacts) -> float | None:
    """The share of the steps that masks declare to be padding, in the samples that were looked at.

    Args:
        graph: The model's graph.
        layers: Leaves of the model.
        data: Facts of the training data.

    Returns:
        The largest share among the inputs that are masked right where they come in; None where none is.
    """
    shares = [share for layer in layers if masks_padding(layer) for share in _shares(graph, layer, data)]
    return max(shares, default=None)


def masks_padding(layer: LayerFacts) -> bool:
    """Whether a mask of padded steps begins at a layer."""
    return layer.cls is keras.layers.Masking or (layer.kind is Kind.EMBEDDING and bool(layer.config.get("mask_zero")))


def _has_steps(layer: LayerFacts) -> bool:
    collapses = layer.kind is Kind.POOLING and layer.cls.__name__.startswith("Global")
    return len(layer.output_shape) >= 3 and not collapses


def _shares(graph: ModelGraph, layer: LayerFacts, data: DataFacts) -> Iterator[float]:
    inputs = [node.path for node in graph.inputs]
    for producer in graph.producers(layer.path):
        if producer in inputs:
            padded = [_is_padding(layer, keras.tree.flatten(x)[inputs.index(producer)]) for x, _ in data.batches]
            yield float(np.mean(np.concatenate([steps.reshape(-1) for steps in padded])))


def _is_padding(layer: LayerFacts, values: Any) -> np.ndarray:
    if layer.kind is Kind.EMBEDDING:
        return np.asarray(values) == 0
    return np.all(np.asarray(values) == layer.config["mask_value"], axis=-1)
