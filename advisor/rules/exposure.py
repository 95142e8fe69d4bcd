"""How often a run shows the network its samples: what works against overfitting pays only where it can overfit."""

from __future__ import annotations

from advisor.facts import Facts, Kind

FEWEST_EPOCHS = 20
"""In shorter runs, augmented images and dropout in recurrent layers cost more than they bring: docs/adr/0020."""

FEWEST_EPOCHS_OF_SERIES = 8
"""Convolutions on series have learned by then what images take 20 epochs for: docs/adr/0020."""

FEWEST_EPOCHS_OF_SPECTROGRAMS = 100
"""Masked bands still cost accuracy in 30 epochs and brought nothing in 60: claim C19 of docs/claims.md."""

FEWEST_STEPS = 200
"""After fewer steps no network measured there had learned enough to overfit, whatever the number of epochs."""


def is_too_short_to_overfit(facts: Facts, fewest_epochs: int = FEWEST_EPOCHS) -> bool:
    """Whether the planned run ends before means against overfitting pay; a run of unknown length does not.

    Args:
        facts: What is known.
        fewest_epochs: Epochs from which on they pay.

    Returns:
        Whether fewer epochs are planned, or fewer than 200 steps.

    Example:
    >>> import keras
    >>> from advisor.facts import TrainingFacts, gather_facts
    >>> from advisor.graph import read_graph
    >>> graph = read_graph(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    >>> [is_too_short_to_overfit(gather_facts(graph, training=TrainingFacts(32, 10, n))) for n in (5, 20, None)]
    [True, False, False]
    """
    training = facts.training
    has_few_epochs = training.epochs is not None and training.epochs < fewest_epochs
    return has_few_epochs or (training.total_steps is not None and training.total_steps < FEWEST_STEPS)


def epochs_to_learn(facts: Facts, modality: str) -> int:
    """Epochs after which a network begins to know samples of a kind by heart.

    Args:
        facts: What is known.
        modality: What the data looks like, as `DataFacts` has it.

    Returns:
        8 for series under convolutions, 100 for spectrograms, else 20.
    """
    if modality == "spectrogram":
        return FEWEST_EPOCHS_OF_SPECTROGRAMS
    is_recurrent = next(facts.of_kind(Kind.RECURRENT), None) is not None
    return FEWEST_EPOCHS_OF_SERIES if modality == "series" and not is_recurrent else FEWEST_EPOCHS
