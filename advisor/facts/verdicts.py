"""What can be said of a finished run by its metrics; epochs are counted from 1."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """What a run's metrics say.

    Attributes:
        metric: The metric that says it, as the history names it.
        epochs: Epochs of the run.
    """

    metric: str
    epochs: int


@dataclass(frozen=True)
class Divergence(Verdict):
    """The training metric got worse than it was, or stopped being a number.

    Attributes:
        epoch: Epoch from which on it did: the first without a number, or the best one.
        best: The best value before, NaN where there was none.
        last: The last value; NaN or infinite where it is no number.
    """

    epoch: int
    best: float
    last: float


@dataclass(frozen=True)
class Overfitting(Verdict):
    """The validation metric got worse, or stayed behind, while the training metric went on improving.

    Attributes:
        best_epoch: Epoch of the best validation value.
        best: That value.
        last: The last validation value.
        training: The last training value.
        worsened: Whether the validation metric got worse after its best epoch; else it only stayed behind.
    """

    best_epoch: int
    best: float
    last: float
    training: float
    worsened: bool


@dataclass(frozen=True)
class Underfitting(Verdict):
    """The training metric stands still at a poor value.

    Attributes:
        since: Epoch from which on it stands still.
        first: The value of the first epoch.
        last: The last value.
    """

    since: int
    first: float
    last: float


@dataclass(frozen=True)
class Plateau(Verdict):
    """Training stands still, and the learning rate was not lowered.

    Attributes:
        since: Epoch from which on it stands still.
        last: The last value.
    """

    since: int
    last: float


@dataclass(frozen=True)
class TooFewEpochs(Verdict):
    """The run ended while its metric was still improving.

    Attributes:
        share: Share of the whole improvement that fell in the last fifth of the run.
        first: The value of the first epoch.
        last: The last value.
    """

    share: float
    first: float
    last: float


@dataclass(frozen=True)
class NoisyValidation(Verdict):
    """The validation metric jumps from epoch to epoch.

    Attributes:
        noise: Standard deviation of the jumps, in the unit of the metric.
        share: The same as a share of what training improved by.
    """

    noise: float
    share: float
