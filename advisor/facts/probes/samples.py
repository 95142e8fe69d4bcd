"""The samples that probes run, and the time they may take for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from advisor.facts.data_facts import DataFacts
from advisor.facts.structures import are_finite, joined, rows, sample_count, sample_shapes

FIRST_CHUNK = 8
MAX_SAMPLES = 512

Say = Callable[[str], object]


class Clock:
    """The time that all probes together may take.

    Args:
        seconds: How many seconds, at least 0.
        say: Told what is being measured when it starts.
    """

    def __init__(self, seconds: float, say: Say = lambda doing: None) -> None:
        self.left = seconds
        self.say = say

    @property
    def grant(self) -> float:
        """Seconds for the next measurement: half of what is left, so that those after it have some too."""
        return self.left / 2

    def in_time(self, chunks: Iterable[Any], doing: str) -> Iterator[Any]:
        """The chunks, until the next one, taken to last twice as long as the last, would run past the grant."""
        self.say(doing)
        begin = last = time.monotonic()
        grant = self.grant
        try:
            for chunk in chunks:
                yield chunk
                now = time.monotonic()
                if now - begin + 2 * (now - last) > grant:
                    return
                last = now
        finally:
            self.left = max(0.0, self.left - (time.monotonic() - begin))


def chunks(data: DataFacts, seed: int, most: int = MAX_SAMPLES) -> Iterator[tuple[Any, int]]:
    """The looked-at inputs in random order, in chunks that double, so that the first ones tell how long it takes.

    Args:
        data: Facts of the data.
        seed: Seed of the order.
        most: The most samples to give.

    Yields:
        Inputs in the structure of the model's, and how many samples they hold; batches as they came where samples
        differ in shape. Rows with values that are not finite are left out.
    """
    batches = [x for x, _ in data.batches]
    if len(sample_shapes(batches)) > 1:
        yield from ((x, sample_count(x)) for x in batches)
        return
    samples, start, size = drawn(batches, seed, most), 0, FIRST_CHUNK
    while start < sample_count(samples):
        chunk = rows(samples, slice(start, start + size))
        yield chunk, sample_count(chunk)
        start, size = start + size, size * 2


def drawn(batches: list[Any], seed: int, most: int) -> Any:
    """Up to that many rows of batches of one shape, in random order and finite, as one structure of arrays."""
    together = joined(batches)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(are_finite(together)))[:most]
    return rows(together, order)


def same_shapes(batches: list[Any]) -> bool:
    """Whether the samples of all batches have one shape, so that they can be put together."""
    return len(sample_shapes(batches)) == 1
