"""How noisy the statistics of a batch are, at the place of every batch normalization."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from advisor.facts.data_facts import DataFacts
from advisor.facts.layer_facts import LayerFacts, layer_facts
from advisor.facts.measurement import Measurement
from advisor.facts.probes.samples import Clock, chunks
from advisor.graph import ModelGraph
from advisor.graph.forward import forward

# A variance between samples that rests on fewer of them says little.
MIN_SAMPLES = 4


@dataclass(frozen=True, eq=False)
class BatchDispersion:
    """The probe `batch_dispersion`: the *effective samples* per channel on which batch statistics rest.

    That is how many independent, normally distributed values would have mean and variance as noisy as those of one
    batch. Noise in the mean μ shifts a normalized activation, noise in the variance s² scales it; for n independent
    normal values the two come to 1/n + 1/(2n), so

        effective samples = 1.5 / (Var(μ) / σ² + Var(s²) / (4σ⁴))

    with the population variance σ² of the channel, and the median over the channels. To the first order in 1 / batch
    size, a batch of independent samples with means m, variances w over their positions, and population mean M has
    Var(μ) = Var(m) / batch size, Var(s²) = Var(w + (m - M)²) / batch size, and σ² = E[w] + Var(m). Features without
    positions have w = 0, and about as many effective samples as the batch has samples.

    The normalizations' inputs are those of inference mode, without dropout: in a model that is not trained, what
    earlier batch normalizations pass on is not normalized, which hardly matters to ratios. Masked positions count like
    others. How the figure behaves on real data: docs/adr/0004-effective-samples.md.
    """

    graph: ModelGraph
    data: DataFacts
    batch_size: int
    seed: int
    clock: Clock

    def measure(self, path: str) -> Measurement | None:
        """The effective samples of a batch normalization; None for other layers and too few samples."""
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
            for inputs, count in self.clock.in_time(chunks(self.data, self.seed), "Measuring batch statistics"):
                look = _look(norms, count)
                for path, runs in forward(self.graph, inputs, norms, look).items():
                    moments[path].append(runs)
        return {path: [_independent_values(run) for run in zip(*seen, strict=True)] for path, seen in moments.items()}


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
