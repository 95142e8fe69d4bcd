"""What the metrics of a run say about it: whether it overfits, underfits, diverges, stands still or ended too early.

All verdicts rest on curves smoothed over a tenth of the run, and on differences that stand out from the noise between
epochs. A difference is told as a share of the *way*: what the training metric improved by from the first epoch to its
best, so that losses of any scale and metrics of either direction are judged alike. How the limits were chosen:
docs/adr/0014-learning-curves-and-first-steps.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from advisor.facts.verdicts import (
    Divergence,
    NoisyValidation,
    Overfitting,
    Plateau,
    TooFewEpochs,
    Underfitting,
    Verdict,
)

# Fewer epochs say nothing but that a loss is no longer a number; the noise between them takes more to judge.
FEWEST_EPOCHS, FEWEST_FOR_NOISE = 5, 10
# A difference counts that is at least as many standard deviations of the smoothed noise.
STANDS_OUT = 4.0
ROUNDING = 1e-6
# Overfitting, in shares of the way: a validation loss that rises, or lies behind. A gap in accuracy makes a small one
# matter, and where the accuracies agree a gap in the loss is only confidence.
RISE, GAP, GAP_WITH_ACCURACY, ACCURACY_GAP = 0.1, 0.3, 0.1, 0.05
# Divergence: this share of the way is lost again.
LOST = 0.5
# Too few epochs: the last fifth of the run brought more than this share of the whole improvement.
LATE, STILL_FALLING = 0.2, 0.05
# A standstill: within this share of the whole improvement, for at least this share of the run.
STANDSTILL, QUIET = 0.02, 0.3
# Noise: the validation metric jumps by this share of the way.
NOISY = 0.15
# A run that goes on: a verdict counts when the curves have said the same for so many epochs.
HOLDS = 2
# A loss is solved below this share of its first value, and poor above that one; accuracies are poor below these.
SOLVED = 0.05
POOR, POOR_ACCURACY, VERY_POOR_ACCURACY = 0.5, 0.75, 0.5

_RISING = ("acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "dice", "r2", "cosine_similarity", "top_k")
_FALLING = ("loss", "error", "mse", "mae", "crossentropy", "hinge", "divergence", "poisson", "perplexity")


@dataclass(frozen=True, eq=False)
class _Curve:
    """One metric, turned so that lower is better."""

    name: str
    values: np.ndarray
    sign: int

    @cached_property
    def smooth(self) -> np.ndarray:
        """Medians of three epochs, and their means over a tenth of the run; over fewer at the ends."""
        medians = [np.median(self.values[max(0, i - 1) : i + 2]) for i in range(len(self.values))]
        reach = self._width // 2
        return np.array([np.mean(medians[max(0, i - reach) : i + reach + 1]) for i in range(len(medians))])

    @property
    def _width(self) -> int:
        return max(3, len(self.values) // 10 | 1)

    @cached_property
    def noise(self) -> float:
        """Standard deviation between epochs, from second differences, which a trend hardly enters."""
        bends = np.abs(np.diff(self.values, n=2))
        # For normal noise the median of |second difference| is 0.6745 · √6 standard deviations.
        return float(np.median(bends) / (0.6745 * np.sqrt(6))) if len(bends) else 0.0

    @property
    def stands_out(self) -> float:
        """The least difference between two smoothed values that is more than noise."""
        noise = STANDS_OUT * self.noise * float(np.sqrt(2 / self._width))
        return max(noise, ROUNDING * float(np.abs(self.values).max()))

    @property
    def best(self) -> int:
        return int(np.argmin(self.smooth))

    def shown(self, value: float) -> float:
        return float(self.sign * value)


def judge(metrics: Mapping[str, Sequence[float]]) -> tuple[Verdict, ...]:
    """The verdicts on a run.

    The loss is judged, with the validation loss where there is one; without a loss, the first metric whose direction is
    known. Of a model with several outputs, the loss of an output is judged too, and what it says is given where the
    whole loss does not say it.

    Args:
        metrics: Values per epoch, by the names that `History` gives; validation metrics start with `val_`.

    Returns:
        At most one verdict of each kind, the gravest first; empty where nothing is wrong, or too little is known.

    Example:
    >>> falling = [1.0, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.16, 0.13, 0.1]
    >>> rising = [1.0, 0.8, 0.7, 0.66, 0.65, 0.68, 0.72, 0.77, 0.83, 0.9]
    >>> (verdict,) = judge({"loss": falling, "val_loss": rising})
    >>> type(verdict).__name__, verdict.best_epoch, verdict.best
    ('Overfitting', 5, 0.65)
    """
    found: dict[type, Verdict] = {}
    for name in _judged(metrics):
        for verdict in _verdicts(metrics, name):
            found.setdefault(type(verdict), verdict)
    order = (Divergence, Overfitting, Underfitting, TooFewEpochs, Plateau, NoisyValidation)
    return tuple(found[kind] for kind in order if kind in found)


def judge_so_far(metrics: Mapping[str, Sequence[float]]) -> tuple[Verdict, ...]:
    """The verdicts on a run that goes on, judged after every epoch, and so more often in danger of an accident.

    They are those of `judge` that it gave an epoch ago as well, but for a run that ends too early, of which nothing can
    be said yet. A standstill takes 10 epochs. A metric that is no longer a number is told of at once.

    Args:
        metrics: Values per epoch so far, as in `judge`.

    Returns:
        The verdicts, the gravest first.

    Example:
    >>> falling = [1.0, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.16, 0.13, 0.1]
    >>> rising = [1.0, 0.8, 0.7, 0.66, 0.65, 0.68, 0.72, 0.77, 0.83, 0.9]
    >>> [verdict.best_epoch for verdict in judge_so_far({"loss": falling, "val_loss": rising})]
    [5]
    >>> [len(judge_so_far({"loss": falling[:epochs], "val_loss": rising[:epochs]})) for epochs in (5, 6)]
    [0, 1]
    """
    before = [
        {type(verdict) for verdict in judge({name: values[:-epochs] for name, values in metrics.items()})}
        for epochs in range(1, HOLDS)
    ]
    return tuple(
        verdict
        for verdict in judge(metrics)
        if _is_broken(verdict) or (_can_tell_so_far(verdict) and all(type(verdict) in kinds for kinds in before))
    )


def _is_broken(verdict: Verdict) -> bool:
    return isinstance(verdict, Divergence) and not np.isfinite(verdict.last)


def _can_tell_so_far(verdict: Verdict) -> bool:
    if isinstance(verdict, (Underfitting, Plateau)):
        return verdict.epochs >= FEWEST_FOR_NOISE
    return not isinstance(verdict, TooFewEpochs)


def _judged(metrics: Mapping[str, Sequence[float]]) -> list[str]:
    training = [name for name, values in metrics.items() if not name.startswith("val_") and len(values) > 0]
    losses = [name for name in training if name == "loss" or name.endswith("_loss")]
    losses.sort(key=lambda name: name != "loss")
    return losses or [name for name in training if _sign(name) is not None][:1]


def _sign(name: str) -> int | None:
    """1 where lower is better, -1 where higher is, None where it is not known."""
    if any(part in name for part in _FALLING):
        return 1
    return -1 if any(part in name for part in _RISING) else None


def _verdicts(metrics: Mapping[str, Sequence[float]], name: str) -> Iterator[Verdict]:
    training = _curve(metrics, name)
    validation = _curve(metrics, f"val_{name}")
    broken = next((curve for curve in (training, validation) if curve and not np.all(np.isfinite(curve.values))), None)
    if broken is not None:
        yield _broken(broken)
        return
    if training is None or len(training.values) < FEWEST_EPOCHS:
        return
    if validation is not None and len(validation.values) != len(training.values):
        validation = None  # validated every few epochs: its epochs are not known
    yield from _judge_run(metrics, training, validation)


def _curve(metrics: Mapping[str, Sequence[float]], name: str) -> _Curve | None:
    if not metrics.get(name):
        return None
    sign = _sign(name) or 1
    return _Curve(name, sign * np.asarray(metrics[name], dtype="float64"), sign)


def _broken(curve: _Curve) -> Divergence:
    epoch = int(np.argmin(np.isfinite(curve.values)))
    best = float(np.min(curve.values[:epoch])) if epoch else float("nan")
    return Divergence(
        curve.name, len(curve.values), epoch + 1, curve.shown(best), curve.shown(float(curve.values[epoch]))
    )


def _judge_run(
    metrics: Mapping[str, Sequence[float]], training: _Curve, validation: _Curve | None
) -> Iterator[Verdict]:
    smooth = training.smooth
    way = float(smooth[0] - smooth.min())
    diverged = _diverged(training, way)
    if diverged is not None:
        yield diverged
        return
    overfits = validation and _overfits(metrics, training, validation, way)
    underfits = None if overfits else _underfits(metrics, training, way)
    if overfits:
        yield overfits
    elif underfits:
        yield underfits
    else:
        yield from _ended_early_or_stood_still(metrics, validation or training, training, way)
    if validation is not None and underfits is None:
        yield from _noisy(training, validation, way)


def _diverged(training: _Curve, way: float) -> Divergence | None:
    rise = float(training.smooth[-1] - training.smooth.min())
    after = len(training.values) - 1 - training.best
    if after < 2 or rise <= max(LOST * way, training.stands_out):
        return None
    # A loss that never fell and wanders about its start has learned nothing, which is another defect.
    if way <= training.stands_out and rise <= LOST * abs(training.smooth[0]):
        return None
    best = int(np.argmin(training.values))
    return Divergence(
        training.name,
        len(training.values),
        best + 1,
        training.shown(training.values[best]),
        training.shown(training.values[-1]),
    )


def _overfits(
    metrics: Mapping[str, Sequence[float]], training: _Curve, validation: _Curve, way: float
) -> Overfitting | None:
    epochs = len(training.values)
    best, smooth = validation.best, validation.smooth
    rise = float(smooth[-1] - smooth[best])
    improved_since = float(training.smooth[best] - training.smooth[-1])
    worsened = (
        epochs - 1 - best >= max(2, LATE * epochs)
        and rise > max(RISE * way, validation.stands_out)
        and improved_since > 0
    )
    behind = _fell_behind(_accuracy_gap(metrics), training, validation, way)
    if way <= training.stands_out or not (worsened or behind):
        return None
    lowest = int(np.argmin(validation.values))
    return Overfitting(
        metric=validation.name,
        epochs=epochs,
        best_epoch=lowest + 1,
        best=validation.shown(validation.values[lowest]),
        last=validation.shown(validation.values[-1]),
        training=training.shown(training.values[-1]),
        worsened=worsened,
    )


def _fell_behind(accuracy_gap: float | None, training: _Curve, validation: _Curve, way: float) -> bool:
    gaps = validation.smooth - training.smooth
    limit = GAP * way
    if accuracy_gap is not None:
        limit = GAP_WITH_ACCURACY * way if accuracy_gap > ACCURACY_GAP else np.inf
    # A gap that was there from the start says that the two sets differ in kind.
    return bool(gaps[-1] > max(limit, validation.stands_out, 2 * gaps[0]))


def _accuracy_gap(metrics: Mapping[str, Sequence[float]]) -> float | None:
    """How much better the training accuracy is at the end; None where none is known."""
    gaps = [_at_end(metrics[name]) - _at_end(metrics[f"val_{name}"]) for name in _accuracies(metrics, validated=True)]
    return max(gaps, default=None)


def _accuracies(metrics: Mapping[str, Sequence[float]], *, validated: bool = False) -> list[str]:
    names = [name for name, values in metrics.items() if "acc" in name and not name.startswith("val_") and len(values)]
    return [name for name in names if not validated or len(metrics.get(f"val_{name}", ()))]


def _at_end(values: Sequence[float]) -> float:
    return float(np.mean(values[-3:]))


def _underfits(metrics: Mapping[str, Sequence[float]], training: _Curve, way: float) -> Underfitting | None:
    since = _still_since(training, max(way, training.noise))
    if since is None or not _is_poor(metrics, training):
        return None
    return Underfitting(
        training.name,
        len(training.values),
        since + 1,
        training.shown(training.values[0]),
        training.shown(training.values[-1]),
    )


def _is_poor(metrics: Mapping[str, Sequence[float]], training: _Curve) -> bool:
    accuracy = max((_at_end(metrics[name]) for name in _accuracies(metrics)), default=None)
    if training.sign < 0:
        return bool(-training.smooth[-1] < POOR_ACCURACY)
    little_learned = training.smooth[-1] > POOR * max(training.smooth[0], training.values[0]) > 0
    if accuracy is None:
        return bool(little_learned)
    return accuracy < VERY_POOR_ACCURACY or bool(little_learned and accuracy < POOR_ACCURACY)


def _ended_early_or_stood_still(
    metrics: Mapping[str, Sequence[float]], watched: _Curve, training: _Curve, way: float
) -> Iterator[Verdict]:
    epochs = len(watched.values)
    whole = float(watched.smooth[0] - watched.smooth.min())
    window = max(2, round(LATE * epochs))
    late = float(watched.smooth[-1 - window] - watched.smooth[-1])
    if late > max(STILL_FALLING * whole, watched.stands_out) and not _is_solved(watched):
        yield TooFewEpochs(watched.name, epochs, late / whole, *map(watched.shown, watched.values[[0, -1]]))
        return
    if watched.stands_out > NOISY * whole:
        return  # nothing can be said of a standstill
    since = _still_since(watched, whole)
    if since is None or _still_since(training, way) is None or _is_solved(training) or _was_lowered(metrics):
        return
    yield Plateau(watched.name, epochs, since + 1, watched.shown(watched.values[-1]))


def _still_since(curve: _Curve, whole: float) -> int | None:
    """Where a standstill began that lasts to the end; None where there is none of at least a third of the run."""
    smooth = curve.smooth
    limit = max(STANDSTILL * whole, curve.stands_out)
    moved = np.flatnonzero(np.abs(smooth - smooth[-1]) > limit)
    since = int(moved[-1]) + 1 if len(moved) else 0
    quiet = len(smooth) - since
    return since if quiet >= max(FEWEST_EPOCHS, QUIET * len(smooth)) else None


def _is_solved(curve: _Curve) -> bool:
    """Whether a loss is so near to zero, or an accuracy to one, that nothing is left to win."""
    if curve.sign < 0:
        return bool(-curve.smooth[-1] > 1 - SOLVED)
    return bool(curve.smooth[-1] < SOLVED * curve.smooth[0])


def _was_lowered(metrics: Mapping[str, Sequence[float]]) -> bool:
    rates = metrics.get("learning_rate") or metrics.get("lr") or ()
    return len(rates) > 1 and rates[-1] < 0.5 * max(rates)


def _noisy(training: _Curve, validation: _Curve, way: float) -> Iterator[NoisyValidation]:
    if len(validation.values) < FEWEST_FOR_NOISE or way <= training.stands_out:
        return
    if validation.noise > NOISY * way and validation.noise > 2 * training.noise:
        yield NoisyValidation(validation.name, len(validation.values), validation.noise, validation.noise / way)
