"""Probes: figures measured by running the user's model on the user's data."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from advisor.facts.data_facts import DataFacts
from advisor.facts.layer_facts import LayerFacts, layer_facts
from advisor.facts.measurement import Measurement
from advisor.graph import ModelGraph
from advisor.graph.forward import forward

Probe = Callable[[str], Measurement | None]

FIRST_CHUNK = 8
MAX_SAMPLES = 512
# A variance between samples that rests on fewer of them says little.
MIN_SAMPLES = 4


def make_probes(
    graph: ModelGraph, data: DataFacts, *, batch_size: int | None, seed: int = 0, probe_seconds: float = 20
) -> dict[str, Probe]:
    """The measuring functions rules may call; nothing is measured before the first call.

    `"batch_dispersion"` takes the path of a batch normalization and gives the *effective samples* per channel on which
    its batch statistics rest: how many independent values would give a batch mean as noisy as the one measured,

        effective samples = σ² / Var(batch mean) = batch size · (1 + W / S)

    where the population variance σ² of a channel is W, the mean variance inside a sample, plus S, the variance between
    the means of samples (law of total variance), and the mean over a batch of independent samples varies by
    S / batch size. The median over the channels that vary is given. Features without positions have W = 0.

    The normalizations' inputs are those of inference mode: in a model that is not trained, what earlier batch
    normalizations pass on is not normalized, which cancels in the ratio. Masked positions count like others.

    Args:
        graph: The model's graph.
        data: Facts of the training data.
        batch_size: Samples over which a batch normalization averages: those of one replica. None if unknown.
        seed: Seed of the order in which the samples are taken.
        probe_seconds: About how many seconds the measurement may take, at least 0; a first few samples are always run.

    Returns:
        Probes by name; none where the batch size is unknown or the model has no graph to run.

    Example:
    >>> import keras, numpy as np
    >>> from advisor.facts.read_data import read_data
    >>> from advisor.graph import read_graph
    >>> norm = keras.layers.BatchNormalization(name="norm")
    >>> graph = read_graph(keras.Sequential([keras.Input((5,)), norm]))
    >>> data = read_data(np.random.default_rng(0).normal(size=(64, 5)), graph)
    >>> make_probes(graph, data, batch_size=16)["batch_dispersion"]("norm").value
    16.0
    """
    if batch_size is None or graph.root.kind == "opaque":
        return {}
    return {"batch_dispersion": _BatchDispersion(graph, data, batch_size, seed, probe_seconds)}


@dataclass(frozen=True, eq=False)
class _BatchDispersion:
    graph: ModelGraph
    data: DataFacts
    batch_size: int
    seed: int
    seconds: float

    def __call__(self, path: str) -> Measurement | None:
        runs = [ratio for ratio in self._measured.get(path, ()) if ratio is not None]
        if not runs:
            return None
        # A layer inside a shared model normalizes every call by itself; the noisiest one counts.
        positions, samples = min(runs)
        return Measurement(
            name="effective samples per channel",
            value=self.batch_size * positions,
            unit="samples",
            samples=samples,
            seed=self.seed,
        )

    @cached_property
    def _measured(self) -> Mapping[str, list[tuple[float, int] | None]]:
        """Of every batch normalization, per run: independent positions of a sample, and on how many samples known."""
        layers = {node.path: layer_facts(node) for node in self.graph.leaves() if node.call is not None}
        norms = {path: facts for path, facts in layers.items() if facts.is_batch_norm}
        moments: dict[str, list[list[_Moments]]] = defaultdict(list)
        if norms:
            for chunk, count in _in_time(_chunks(self.data, self.seed), self.seconds):
                look = _look(norms, count)
                for path, runs in forward(self.graph, chunk, norms, look).items():
                    moments[path].append(runs)
        return {
            path: [_independent_positions(run) for run in zip(*chunks, strict=True)] for path, chunks in moments.items()
        }


@dataclass(frozen=True, eq=False)
class _Moments:
    """Mean and variance of every sample and channel of one chunk, each of shape `(batch, channels)`."""

    mean: np.ndarray
    variance: np.ndarray


def _look(norms: Mapping[str, LayerFacts], count: int) -> Callable[[str, Any], _Moments | None]:
    def look(path: str, tensor: Any) -> _Moments | None:
        if tensor.shape[0] != count:
            return None  # the first axis is no longer the samples
        values = np.moveaxis(keras.ops.convert_to_numpy(tensor), norms[path].channel_axis, -1)
        values = values.reshape(count, -1, values.shape[-1])
        return _Moments(values.mean(axis=1, dtype="float64"), values.var(axis=1, dtype="float64"))

    return look


def _independent_positions(run: tuple[_Moments | None, ...]) -> tuple[float, int] | None:
    """1 + W / S, median over channels, and the number of samples it rests on; None where it cannot be told."""
    chunks = [chunk for chunk in run if chunk is not None]
    samples = sum(len(chunk.mean) for chunk in chunks)
    if samples < MIN_SAMPLES:
        return None
    between = np.concatenate([chunk.mean for chunk in chunks]).var(axis=0, ddof=1)
    within = np.concatenate([chunk.variance for chunk in chunks]).mean(axis=0)
    varies = between > 0
    if not varies.any():
        return None
    return float(np.median(1 + within[varies] / between[varies])), samples


def _chunks(data: DataFacts, seed: int) -> Iterator[tuple[Any, int]]:
    """The looked-at inputs in random order, in chunks that double, so that the first ones tell how long it takes."""
    batches = [x for x, _ in data.batches]
    shapes = {tuple(leaf.shape[1:] for leaf in keras.tree.flatten(x)) for x in batches}
    if len(shapes) > 1:
        yield from ((x, len(keras.tree.flatten(x)[0])) for x in batches)
        return
    joined = keras.tree.map_structure(lambda *leaves: np.concatenate(leaves), *batches)
    order = np.random.default_rng(seed).permutation(len(keras.tree.flatten(joined)[0]))[:MAX_SAMPLES]
    start, size = 0, FIRST_CHUNK
    while start < len(order):
        rows = order[start : start + size]
        yield keras.tree.map_structure(lambda leaf, rows=rows: leaf[rows], joined), len(rows)
        start, size = start + size, size * 2


def _in_time(chunks: Iterator[tuple[Any, int]], seconds: float) -> Iterator[tuple[Any, int]]:
    """The chunks, until the next one, taken to last twice as long as the last, would run past the limit."""
    begin = last = time.monotonic()
    for chunk in chunks:
        yield chunk
        now = time.monotonic()
        if now - begin + 2 * (now - last) > seconds:
            return
        last = now
