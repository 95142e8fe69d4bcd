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
    its batch statistics rest: how many independent, normally distributed values would have mean and variance as noisy
    as those of one batch. Noise in the mean μ shifts a normalized activation, noise in the variance s² scales it; for n
    independent normal values the two come to 1/n + 1/(2n), so

        effective samples = 1.5 / (Var(μ) / σ² + Var(s²) / (4σ⁴))

    with the population variance σ² of the channel, and the median over the channels. To the first order in 1 / batch
    size, a batch of independent samples with means m, variances w over their positions, and population mean M has
    Var(μ) = Var(m) / batch size, Var(s²) = Var(w + (m - M)²) / batch size, and σ² = E[w] + Var(m). Features without
    positions have w = 0, and about as many effective samples as the batch has samples.

    The normalizations' inputs are those of inference mode, without dropout: in a model that is not trained, what
    earlier batch normalizations pass on is not normalized, which hardly matters to ratios. Masked positions count like
    others. How the figure behaves on real data: docs/adr/0004-effective-samples.md.

    Args:
        graph: The model's graph.
        data: Facts of the training data.
        batch_size: Samples over which a batch normalization averages: those of one replica. None if unknown.
        seed: Seed of the order in which the samples are taken.
        probe_seconds: About how many seconds the measurement may take, at least 0; a first few samples are always run.

    Returns:
        Probes by name; none where the batch size is unknown, no sample is finite or the model has no graph to run.

    Example:
    >>> import keras, numpy as np
    >>> from advisor.facts.read_data import read_data
    >>> from advisor.graph import read_graph
    >>> norm = keras.layers.BatchNormalization(name="norm")
    >>> graph = read_graph(keras.Sequential([keras.Input((5,)), norm]))
    >>> data = read_data(np.random.default_rng(0).normal(size=(64, 5)), graph)
    >>> measured = make_probes(graph, data, batch_size=16)["batch_dispersion"]("norm")
    >>> 12 < measured.value < 20
    True
    """
    if batch_size is None or graph.root.kind == "opaque" or not data.batches:
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
        values, samples = min(runs)
        return Measurement(
            name="effective samples per channel",
            value=self.batch_size * values,
            unit="samples",
            samples=samples,
            seed=self.seed,
        )

    @cached_property
    def _measured(self) -> Mapping[str, list[tuple[float, int] | None]]:
        """Of every batch normalization, per run: independent values per sample, and the samples that rests on."""
        layers = {node.path: layer_facts(node) for node in self.graph.leaves() if node.call is not None}
        norms = {path: facts for path, facts in layers.items() if facts.is_batch_norm}
        moments: dict[str, list[list[_Moments]]] = defaultdict(list)
        if norms:
            for chunk, count in _in_time(_chunks(self.data, self.seed), self.seconds):
                look = _look(norms, count)
                for path, runs in forward(self.graph, chunk, norms, look).items():
                    moments[path].append(runs)
        return {
            path: [_independent_values(run) for run in zip(*chunks, strict=True)] for path, chunks in moments.items()
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


def _independent_values(run: tuple[_Moments | None, ...]) -> tuple[float, int] | None:
    """How many independent values a sample counts for, and the number of samples that rests on."""
    chunks = [chunk for chunk in run if chunk is not None]
    samples = sum(len(chunk.mean) for chunk in chunks)
    if samples < MIN_SAMPLES:
        return None
    values = independent_values(
        np.concatenate([chunk.mean for chunk in chunks]), np.concatenate([chunk.variance for chunk in chunks])
    )
    return (float(np.median(values)), samples) if values.size else None


def independent_values(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """How many independent normal values one sample counts for in batch statistics, by channel.

    Args:
        mean: Mean over its positions of every sample and channel, `(samples, channels)`.
        variance: Variance over its positions, in the same shape.

    Returns:
        One number for every channel that varies between samples.

    Example:
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(size=(2000, 9, 1))
    >>> bool(abs(independent_values(noise.mean(axis=1), noise.var(axis=1))[0] - 9) < 1)
    True
    """
    between = mean.var(axis=0, ddof=1)
    varies = between > 0
    between, mean, variance = between[varies], mean[:, varies], variance[:, varies]
    population = variance.mean(axis=0) + between
    spread = (variance + np.square(mean - mean.mean(axis=0))).var(axis=0, ddof=1)
    return 1.5 / (between / population + spread / (4 * np.square(population)))


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
