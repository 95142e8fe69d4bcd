"""Inputs of mean 0 and deviation 1, by those of the training part."""

from __future__ import annotations

from benchmarks.datasets import Pair, Parts


def standardized(drawn: Parts, axis: int | None = None) -> Parts:
    """The parts, less the mean of the training inputs and divided by their deviation.

    Args:
        drawn: The parts.
        axis: 0 for a mean and deviation per column; None for one of all inputs.

    Returns:
        The parts.
    """
    mean, deviation = drawn.train[0].mean(axis=axis), drawn.train[0].std(axis=axis)

    def scaled(pair: Pair) -> Pair:
        return (pair[0] - mean) / deviation, pair[1]

    return Parts(scaled(drawn.train), scaled(drawn.validation), scaled(drawn.test), drawn.classes)
