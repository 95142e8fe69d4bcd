"""When the statistics of a batch are worth using: how noisy they are, and how fast moving averages follow them."""

from __future__ import annotations

from dataclasses import replace

from advisor.facts import Facts, LayerFacts, Measurement

# Below this many independent values per channel, mean and variance of a batch are too noisy to normalize with. Wu & He
# 2018, table 2: batch normalization is level with group normalization, within a point, down to batches of 8 maps, which
# count for 32 values here, and 3 points behind at 4.
MINIMUM_EFFECTIVE_SAMPLES = 32

# A batch of 32 vectors is worth 32 values, give or take the error of the measurement: a measured 31 is no verdict.
CLEARLY_BELOW = 0.75

# The averages follow when what lies before the last hundredth of the run keeps at most this weight in them. Measured:
# docs/adr/0003-moving-average-lag.md.
RECENT_SHARE = 0.01
TOLERATED_STALE_WEIGHT = 0.05
PLAIN_MOMENTA = (0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5)


def batch_dispersion(facts: Facts, layer: LayerFacts) -> Measurement | None:
    """How many independent values the batch statistics are worth, measured on the data; None without data."""
    measured = facts.measure("batch_dispersion", layer.path)
    return None if measured is None else replace(measured, threshold=float(MINIMUM_EFFECTIVE_SAMPLES))


def is_noisy(facts: Facts, layer: LayerFacts) -> bool:
    """Whether batch statistics at a place are too noisy, by the count of samples and positions; False if unknown."""
    if not layer.output_shape:
        return False
    samples = facts.effective_samples(layer)
    return samples is not None and samples < MINIMUM_EFFECTIVE_SAMPLES


def is_measured_noisy(measured: Measurement, condemned_by_count: bool) -> bool:
    """Whether a measurement calls batch statistics too noisy; close to the limit, the count has the last word."""
    if condemned_by_count:
        return measured.value < MINIMUM_EFFECTIVE_SAMPLES
    return measured.value < CLEARLY_BELOW * MINIMUM_EFFECTIVE_SAMPLES


def has_no_variance(facts: Facts, layer: LayerFacts) -> bool:
    """Whether a batch holds a single value per channel, so that its variance is zero."""
    return facts.training.replica_batch == 1 and bool(layer.output_shape) and layer.positions == 1


def stale_weight(momentum: float, total_steps: int) -> float:
    """The weight that moving averages give to all but the last hundredth of a run: `momentum^(steps / 100)`.

    Args:
        momentum: Momentum of the averages, in 0 to 1.
        total_steps: Steps of the run, at least 1.

    Returns:
        The weight, in 0 to 1.

    Example:
    >>> round(stale_weight(0.99, 3000), 2), round(stale_weight(0.9, 3000), 2)
    (0.74, 0.04)
    """
    return momentum ** (RECENT_SHARE * total_steps)


def settled_momentum(total_steps: int) -> float:
    """The largest plain momentum, at most Keras's 0.99, whose moving averages follow in a run of that many steps.

    `momentum^(steps / 100) ≤ 0.05`, but at least 0.5.

    Args:
        total_steps: Steps of the run, at least 1.

    Returns:
        One of `PLAIN_MOMENTA`.

    Example:
    >>> [settled_momentum(steps) for steps in (100, 1000, 3000, 10_000, 30_000)]
    [0.5, 0.7, 0.9, 0.95, 0.99]
    """
    return next(
        (momentum for momentum in PLAIN_MOMENTA if stale_weight(momentum, total_steps) <= TOLERATED_STALE_WEIGHT),
        PLAIN_MOMENTA[-1],
    )
