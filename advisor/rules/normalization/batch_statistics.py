"""When the statistics of a batch are worth using: how noisy they are, and how fast moving averages follow them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import keras

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
# Moving averages are behind the weights when they are off by this many deviations, measured on 256 samples; on fewer,
# the statistics they are held against are themselves less certain. Above it, 38 of 39 sets of averages lost more than 2
# points of accuracy: `python -m benchmarks.statistics_lag`.
LAGS, LAGS_ON_SAMPLES = 0.1, 256
PLAIN_MOMENTA = (0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5)


def is_noisy(facts: Facts, layer: LayerFacts, batch: int | None = None) -> bool:
    """Whether batch statistics at a place are too noisy, by the count of samples and positions; False if unknown.

    Args:
        facts: What is known of model and run.
        layer: The place.
        batch: Samples averaged over; those that a batch normalization there does average over by default.
    """
    samples = facts.effective_samples(layer, batch)
    return samples is not None and samples < MINIMUM_EFFECTIVE_SAMPLES


@dataclass(frozen=True)
class BatchWorth:
    """How many independent values per channel the statistics of one batch are worth.

    Attributes:
        batch: Samples they are taken over, or None where unknown.
        counted: By the count of samples and positions, or None where unknown.
        measured: On the data, or None without data.
    """

    batch: int | None
    counted: int | None
    measured: Measurement | None

    @property
    def is_too_little(self) -> bool:
        """Whether the statistics are too noisy; close to the limit of a measurement, the count has the last word."""
        if self.measured is None:
            return self._is_condemned
        limit = MINIMUM_EFFECTIVE_SAMPLES if self._is_condemned else CLEARLY_BELOW * MINIMUM_EFFECTIVE_SAMPLES
        return self.measured.value < limit

    @property
    def is_contradicted(self) -> bool:
        """Whether the count calls them too noisy, and the measurement does not."""
        return self._is_condemned and not self.is_too_little

    @property
    def values(self) -> float | None:
        """The number: as measured where it was."""
        return self.counted if self.measured is None else round(self.measured.value, 1)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """The measurement, for a finding."""
        return () if self.measured is None else (self.measured,)

    @property
    def _is_condemned(self) -> bool:
        return self.counted is not None and self.counted < MINIMUM_EFFECTIVE_SAMPLES


def worth_of_averaged(facts: Facts, layer: LayerFacts) -> BatchWorth:
    """What the statistics that a batch normalization takes are worth, measured where data was given."""
    return _worth(facts, layer, facts.averaged_batch(layer))


def worth_of_whole(facts: Facts, layer: LayerFacts) -> BatchWorth:
    """What statistics over the batches of all replicas would be worth, measured where data was given."""
    return _worth(facts, layer, facts.training.batch_size)


def _worth(facts: Facts, layer: LayerFacts, batch: int | None) -> BatchWorth:
    measured = facts.measure("batch_dispersion", layer.path)
    if measured is not None and batch is not None and facts.training.replica_batch is not None:
        # It is measured at the batch of a replica, and linear in the batch.
        value = measured.value * batch / facts.training.replica_batch
        measured = replace(measured, value=value, threshold=float(MINIMUM_EFFECTIVE_SAMPLES))
    return BatchWorth(batch, facts.effective_samples(layer, batch), measured)


def measured_lag(facts: Facts, layer: LayerFacts) -> Measurement | None:
    """How far the moving averages of a batch normalization are from what training mode computes with the same weights.

    Args:
        facts: What is known of model and run.
        layer: A batch normalization.

    Returns:
        The measurement, its threshold the limit above which they lag; None without data, and on a model that is not
        trained, whose averages have never been updated.
    """
    measured = None if facts.model.trained is None else facts.measure("statistics_lag", layer.path)
    if measured is None:
        return None
    uncertainty = math.sqrt(LAGS_ON_SAMPLES / min(measured.samples, LAGS_ON_SAMPLES))
    return replace(measured, threshold=LAGS * uncertainty)


def lags(facts: Facts, layer: LayerFacts) -> bool:
    """Whether the moving averages of a batch normalization were measured to be behind the weights."""
    measured = measured_lag(facts, layer)
    return measured is not None and measured.threshold is not None and measured.value > measured.threshold


def has_no_variance(facts: Facts, layer: LayerFacts) -> bool:
    """Whether a batch holds a single value per channel, so that its variance is zero."""
    return facts.averaged_batch(layer) == 1 and bool(layer.output_shape) and layer.positions == 1


def can_synchronize() -> bool:
    """Whether batch normalization over all replicas exists: in Keras with the TensorFlow backend only."""
    return keras.backend.backend() == "tensorflow"


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
