"""H607: validation samples that are in the training data."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
from keras import layers

from advisor.facts import Facts, Measurement
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Confidence, Finding, Severity
from advisor.rules.registry import rule

TOLERATED_SHARE = 0.01
"""Less moves an accuracy by less than a point."""

OF_ITSELF = 2.0
"""Data that repeats itself, as tables of few values do, overlaps by chance; a leak is at least twice that."""


def _model() -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def _rows(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(last, 4))[first:]
    return x, (x[:, 0] > 0).astype(int)


def _answers(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Four questions of two answers each, so that all sets of answers come again and again."""
    x = np.random.default_rng(0).integers(0, 2, size=(last, 4))[first:]
    return x, x[:, 0]


@rule
class ValidationOverlapsTraining(Rule):
    """Validation data holds samples of the training data.

    What it does:
        Hashes the inputs of all samples of arrays, and of as much of a stream as comes in two seconds, and counts the
        validation samples that are in the training data too. One in a hundred is tolerated, and so is what data that
        repeats itself must share: less than twice the share of training samples that repeat another. Only equal inputs
        are found, not the same thing cropped or scaled anew, and in streams only among the samples that were counted.

    Why it matters:
        A network can know these samples by heart, so the validation loss goes on falling while the network overfits:
        early stopping comes too late, and the figures promise what no new sample will keep. 3.3 % of the test images of
        CIFAR-10 and 10 % of those of CIFAR-100 have near-duplicates among the training images; without them published
        networks do 9 to 14 % worse, relative to the figures that were published.

    Example:
        ```python
        train, val = images[:900], images[800:]  # 100 images in both
        ```

    Fix:
        No change to the model. Remove the shared samples from the training data, and split before anything is repeated,
        augmented or oversampled.
    """

    code = "H607"
    name = "validation-overlaps-training"
    severity = Severity.WARNING
    requires = frozenset({Requirement.DATA, Requirement.VALIDATION})
    references = ("barz-2020",)
    confidence = Confidence.MEASURED

    VALID = (
        Case(
            "a clean split",
            _model,
            {"data": lambda: _rows(0, 100), "validation_data": lambda: _rows(100, 150)},
        ),
        Case(
            "answers that come again by themselves",
            _model,
            {"data": lambda: _answers(0, 100), "validation_data": lambda: _answers(100, 150)},
        ),
    )
    INVALID = (
        Case(
            "ten rows in both",
            _model,
            {"data": lambda: _rows(0, 100), "validation_data": lambda: _rows(90, 150)},
        ),
        Case(
            "validation on the training data",
            _model,
            {"data": lambda: _rows(0, 80), "validation_data": lambda: _rows(0, 80)},
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.data is None or facts.validation is None:
            return
        train, other = facts.data.fingerprints, facts.validation.fingerprints
        if not len(train) or not len(other):
            return
        shared = other.shared_with(train)
        share = shared / len(other)
        of_itself = train.repeated / len(train)
        if share < TOLERATED_SHARE or share < OF_ITSELF * of_itself:
            return
        at_least = "" if facts.data.complete and facts.validation.complete else "at least "
        yield self.finding(
            message=f"{at_least}{shared:,} of {len(other):,} validation samples ({share:.0%}) are in the training data",
            why="The network can know them by heart, so validation says too little of new samples, and early stopping "
            "comes too late. Remove them from the training data, and split before repeating or oversampling.",
            measurements=(
                Measurement(
                    "share of validation samples in the training data", share, "1", len(other), 0, TOLERATED_SHARE
                ),
            ),
        )
