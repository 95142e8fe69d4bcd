"""Data sets so small that a network can know them by heart."""

from __future__ import annotations

from advisor.facts import DataFacts, Facts, Kind, Measurement
from advisor.rules.exposure import epochs_to_learn, is_too_short_to_overfit

FEW_PER_CLASS = 5000
"""CIFAR-10 has 5,000 images of each class, and every published result on it rests on augmentation."""


def small_set(facts: Facts, *modalities: str) -> DataFacts | None:
    """The data, where there is so little that it should be varied; None elsewhere.

    Args:
        facts: What is known.
        *modalities: What the data must look like.

    Returns:
        Data of one input and of one class per sample, with less than `FEW_PER_CLASS` samples of each, in a run that
        is long enough to learn them by heart.
    """
    data = facts.data
    if data is None or data.modality not in modalities or len(data.inputs) != 1 or len(facts.graph.inputs) > 1:
        return None
    if facts.model.task != "classification" or data.samples_per_class is None:
        return None
    if is_too_short_to_overfit(facts, epochs_to_learn(facts, data.modality)):
        return None
    return data if data.samples_per_class < FEW_PER_CLASS else None


def small_unaugmented_set(facts: Facts, *modalities: str) -> DataFacts | None:
    """The data as `small_set` gives it, where the model has no augmentation in it; None elsewhere."""
    augments = next(facts.of_kind(Kind.AUGMENTATION), None) is not None
    return None if augments else small_set(facts, *modalities)


def samples_per_class(data: DataFacts) -> Measurement:
    """How many samples there are of each class, as a measurement."""
    assert data.samples is not None
    assert data.samples_per_class is not None
    return Measurement("samples per class", data.samples_per_class, "samples", data.samples, 0, FEW_PER_CLASS)
