"""The samples that probes run, and the time they may take for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np

from advisor.facts.data_facts import DataFacts

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
    if len(_shapes(batches)) > 1:
        yield from ((x, _count(x)) for x in batches)
        return
    rows, start, size = drawn(batches, seed, most), 0, FIRST_CHUNK
    while start < _count(rows):
        chunk = _slice(rows, start, start + size)
        yield chunk, _count(chunk)
        start, size = start + size, size * 2


def drawn(batches: list[Any], seed: int, most: int) -> Any:
    """Up to that many rows of batches of one shape, in random order and finite, as one structure of arrays."""
    joined = keras.tree.map_structure(lambda *leaves: _joined(leaves), *batches)
    finite = np.ones(_count(joined), dtype=bool)
    for leaf in _arrays(joined):
        if leaf.dtype.kind == "f":
            finite &= np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(finite))[:most]
    return keras.tree.map_structure(lambda leaf: None if leaf is None else leaf[order], joined)


def same_shapes(batches: list[Any]) -> bool:
    """Whether the samples of all batches have one shape, so that they can be put together."""
    return len(_shapes(batches)) == 1


def _shapes(batches: list[Any]) -> set[tuple[tuple[int, ...], ...]]:
    return {tuple(leaf.shape[1:] for leaf in _arrays(batch)) for batch in batches}


def _joined(leaves: tuple[Any, ...]) -> Any:
    return None if leaves[0] is None else np.concatenate(leaves)


def _slice(structure: Any, start: int, end: int) -> Any:
    return keras.tree.map_structure(lambda leaf: None if leaf is None else leaf[start:end], structure)


def _arrays(structure: Any) -> list[np.ndarray]:
    return [leaf for leaf in keras.tree.flatten(structure) if leaf is not None]


def _count(structure: Any) -> int:
    return len(_arrays(structure)[0])
