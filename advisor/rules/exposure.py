"""How often a run shows the network its samples: what works against overfitting pays only where it can overfit."""

from __future__ import annotations

from advisor.facts import Facts

FEWEST_EPOCHS = 20
"""In shorter runs augmentation and dropout cost more than they bring: docs/adr/0020."""


def is_too_short_to_overfit(facts: Facts) -> bool:
    """Whether the planned run ends before means against overfitting pay; a run of unknown length does not.

    Args:
        facts: What is known.

    Returns:
        Whether fewer than 20 epochs are planned.

    Example:
    >>> import keras
    >>> from advisor.facts import TrainingFacts, gather_facts
    >>> from advisor.graph import read_graph
    >>> graph = read_graph(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    >>> [is_too_short_to_overfit(gather_facts(graph, training=TrainingFacts(32, epochs=n))) for n in (5, 20, None)]
    [True, False, False]
    """
    epochs = facts.training.epochs
    return epochs is not None and epochs < FEWEST_EPOCHS
