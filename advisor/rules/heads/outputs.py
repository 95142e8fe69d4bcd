"""What happens between the last linear layer of a model and its output."""

from __future__ import annotations

from advisor.facts import LINEAR_KINDS, Facts, Head, Kind, LayerFacts

PROBABILITIES = frozenset({"softmax", "sigmoid", "hard_sigmoid"})
"""Activations whose values are probabilities."""

# Kinds that leave every value as it is, or as it is at inference.
_PASSED = frozenset({Kind.DROPOUT, Kind.RESHAPE})

# `keras.ops` operations carry their class names: `LogSoftmax` is `log_softmax`, `HardSigmoid` is `hard_sigmoid`.
_SPELLINGS = {"logsoftmax": "log_softmax", "hardsigmoid": "hard_sigmoid"}


def steps_after_linear(facts: Facts, head: Head) -> tuple[LayerFacts, ...]:
    """The leaves between a head's last linear layer and the output, the one nearest to the output first.

    Empty where there is no linear layer, or it is the output itself.
    """
    steps: list[LayerFacts] = []
    path = head.path
    while head.linear is not None and path != head.linear:
        steps.append(facts[path])
        (path,) = facts.graph.producers(path)
    return tuple(steps)


def output_function(facts: Facts, head: Head) -> str | None:
    """The function whose values an output carries.

    Returns:
        The name of an activation, `"linear"` for the plain values of a linear layer, or None where something whose
        effect is not known (a `keras.ops` operation, a `Lambda`, a layer of the user's) comes last.
    """
    path = head.path
    while True:
        layer = facts[path]
        name = layer.activation
        if layer.kind in LINEAR_KINDS:
            return _SPELLINGS.get(name, name) if name else "linear"
        if layer.kind is Kind.ACTIVATION and name != "linear":
            return _SPELLINGS.get(name, name) if name else None
        producer = facts.sole_producer(path)
        if producer is None or layer.kind not in _PASSED | {Kind.ACTIVATION}:
            return None
        path = producer.path
