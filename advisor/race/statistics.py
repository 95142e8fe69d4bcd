"""Means with 95 % intervals, and when a difference between two models may be called one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95

FEWEST_SAMPLES = 30
"""Validation samples below which no difference is claimed."""


@dataclass(frozen=True)
class Interval:
    """A mean and how far the truth may be from it.

    Attributes:
        mean: The mean.
        half_width: Half the width of the 95 % interval, at least 0; infinite for a single value.
        count: Number of values.
    """

    mean: float
    half_width: float
    count: int

    @property
    def low(self) -> float:
        """The lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The upper end."""
        return self.mean + self.half_width

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0, so that a difference may be claimed."""
        return self.low > 0 or self.high < 0


def interval(values: Sequence[float]) -> Interval:
    """The mean of independent values with its 95 % interval by Student's t distribution.

    Formula: m ± t(0.975, n - 1) · s / √n.

    Args:
        values: At least one value, such as the accuracy of every seed.

    Returns:
        The interval.

    Raises:
        ValueError: If there are no values.

    Example:
    >>> found = interval([1.0, 2.0, 3.0])
    >>> print(f"{found.mean:.2f} ± {found.half_width:.2f}")
    2.00 ± 2.48

    Source: Student 1908, The probable error of a mean, https://doi.org/10.1093/biomet/6.1.1
    """
    if not len(values):
        raise ValueError("an interval needs at least one value. Received: none")
    array = np.asarray(values, dtype="float64")
    if len(array) == 1:
        return Interval(float(array[0]), math.inf, 1)
    error = float(array.std(ddof=1)) / math.sqrt(len(array))
    return Interval(float(array.mean()), _quantile(len(array) - 1) * error, len(array))


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """The mean difference of two models trained on the same seeds, with its 95 % interval.

    Args:
        ours: One value per seed.
        theirs: The other model's values, seed by seed.

    Returns:
        The interval of `ours - theirs`.

    Raises:
        ValueError: If there are not as many of one as of the other, or none.

    Example:
    >>> difference = paired_difference([0.9, 0.8, 0.85], [0.8, 0.7, 0.75])
    >>> round(difference.mean, 3), difference.excludes_zero
    (0.1, True)
    """
    return interval([a - b for a, b in zip(ours, theirs, strict=True)])


def difference_of_scores(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """The mean difference of two models that were trained on the same seeds and scored on the same samples.

    A difference has to hold over trainings and over samples alike: another seed trains another model, and other
    samples would have been judged in another way.

    Formula: m ± √((t(0.975, S - 1) · s / √S)² + (t(0.975, n - 1) · e / √n)²), where s is the deviation over seeds of
    the mean difference, and e the deviation over samples of the difference averaged over seeds.

    Args:
        ours: Scores of shape `(seeds, samples)`.
        theirs: The other model's, seed by seed and sample by sample.

    Returns:
        The interval of `ours - theirs`, its count the number of seeds; infinite for a single seed, and for fewer than
        `FEWEST_SAMPLES` samples, of which the normal distribution knows too little.

    Raises:
        ValueError: If the shapes differ, or there is nothing.

    Example:
    >>> right = np.ones((3, 100))
    >>> half_right = np.tile([0.0, 1.0], (3, 50))
    >>> found = difference_of_scores(right, half_right)
    >>> print(f"{found.mean:.2f} ± {found.half_width:.2f}")
    0.50 ± 0.10

    Source: Bouthillier et al. 2021, arXiv:2103.03098, on the sources of variance of a benchmark; Student 1908.
    """
    if np.shape(ours) != np.shape(theirs) or np.ndim(ours) != 2 or 0 in np.shape(ours):
        raise ValueError(
            "scores must be two arrays of one shape, (seeds, samples), with at least one of each. "
            f"Received: {np.shape(ours)} and {np.shape(theirs)}"
        )
    differences = np.asarray(ours, dtype="float64") - np.asarray(theirs, dtype="float64")
    over_seeds, over_samples = interval(differences.mean(axis=1)), interval(differences.mean(axis=0))
    is_enough = differences.shape[1] >= FEWEST_SAMPLES
    half_width = math.hypot(over_seeds.half_width, over_samples.half_width) if is_enough else math.inf
    return Interval(over_seeds.mean, half_width, over_seeds.count)


def _quantile(degrees: int) -> float:
    # scikit-learn, which the advisor needs, brings it.
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, degrees))
