"""Prechelt's measures of overfitting, on the errors of the epochs so far."""

import math
from collections.abc import Sequence


def generalization_loss(validation_errors: Sequence[float]) -> float:
    """How far the last validation error is above the lowest so far, in percent.

    `GL(t) = 100 · (E_va(t) / min_{t' ≤ t} E_va(t') - 1)`

    Args:
        validation_errors: Errors from 0 of the epochs 1 to t.

    Returns:
        The loss in percent; infinite where an error of 0 was left.

    Example:
    >>> generalization_loss([4.0, 2.0, 3.0])
    50.0

    Source:
        Prechelt 1998, Early Stopping - But When?, section 2.2.
    """
    return _percent_above(validation_errors[-1], min(validation_errors))


def training_progress(training_errors: Sequence[float], strip: int) -> float:
    """How far the mean training error of the last strip is above the lowest of it, in per thousand.

    `P_k(t) = 1000 · (Σ E_tr(t') / (k · min E_tr(t')) - 1)`, sum and minimum over the last `k` epochs

    Args:
        training_errors: Errors from 0 of the epochs 1 to t.
        strip: Length `k` of a strip.

    Returns:
        The progress in per thousand, NaN before the first strip is complete.

    Example:
    >>> training_progress([9.0, 3.0, 2.0, 1.0], strip=3)
    1000.0

    Source:
        Prechelt 1998, Early Stopping - But When?, section 2.2.
    """
    if len(training_errors) < strip:
        return math.nan
    last = training_errors[-strip:]
    return 10 * _percent_above(sum(last) / strip, min(last))


def progress_quotient(validation_errors: Sequence[float], training_errors: Sequence[float], strip: int) -> float:
    """Generalization loss over training progress.

    `PQ(t) = GL(t) / P_k(t)`

    Args:
        validation_errors: Errors from 0 of the epochs 1 to t.
        training_errors: Errors from 0 of the same epochs.
        strip: Length `k` of a strip.

    Returns:
        The quotient, 0 without generalization loss, infinite where there is loss and no progress, NaN before the first
        strip is complete.

    Example:
    >>> progress_quotient([4.0, 2.0, 3.0], [3.0, 2.0, 1.0], strip=3)
    0.05

    Source:
        Prechelt 1998, Early Stopping - But When?, section 2.2.
    """
    loss, progress = generalization_loss(validation_errors), training_progress(training_errors, strip)
    if math.isnan(progress):
        return math.nan
    if loss == 0:
        return 0.0
    return loss / progress if progress else math.inf


def successive_rises(validation_errors: Sequence[float], strip: int) -> int:
    """In how many strips in a row, up to the last complete one, the validation error has risen.

    A strip is `k` epochs; the error has risen in it if `E_va(t) > E_va(t - k)` at its last epoch `t`.

    Args:
        validation_errors: Errors of the epochs 1 to t.
        strip: Length `k` of a strip.

    Returns:
        The number of strips.

    Example:
    >>> successive_rises([5.0, 1.0, 4.0, 2.0, 4.0, 3.0], strip=2)
    2

    Source:
        Prechelt 1998, Early Stopping - But When?, section 2.2.
    """
    ends = validation_errors[strip - 1 :: strip]
    rises = 0
    for earlier, later in zip(ends[-2::-1], ends[:0:-1], strict=True):
        if not later > earlier:
            break
        rises += 1
    return rises


def _percent_above(error: float, lowest: float) -> float:
    if lowest == 0:
        return 0.0 if error == 0 else math.inf
    return 100 * (error / lowest - 1)
