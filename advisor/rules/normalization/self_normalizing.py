"""Networks made of SELU, which normalize themselves, and the batch normalization that keeps them from it."""

from __future__ import annotations

from collections.abc import Mapping

from advisor.facts import LINEAR_KINDS, Facts, Kind, LayerFacts
from advisor.rules.normalization.activations import activation_behind

FEWEST_LAYERS = 2

_BETWEEN = frozenset({Kind.ACTIVATION, Kind.DROPOUT, Kind.NORM, Kind.RESHAPE})


def selu_layers(facts: Facts) -> Mapping[str, LayerFacts]:
    """The layers with SELU of a network that is made of them; none of any other.

    At least two of the hidden layers, and more than half of them, none frozen, and no residual additions, which no
    theory of SELU covers.

    Args:
        facts: What is known of the model.

    Returns:
        Convolutions and dense layers by path.
    """
    heads = {head.linear for head in facts.model.heads}
    hidden = [layer for layer in facts.of_kind(*LINEAR_KINDS) if layer.path not in heads]
    selu = {layer.path: layer for layer in hidden if activation_behind(facts, layer) == "selu"}
    if len(selu) < FEWEST_LAYERS or 2 * len(selu) <= len(hidden):
        return {}
    residual = any(
        layer.cls.__name__ == "Add" and len(facts.graph.producers(layer.path)) > 1
        for layer in facts.of_kind(Kind.MERGE)
    )
    trained = all(layer.trainable for layer in selu.values())
    return selu if trained and not residual else {}


def linear_before(facts: Facts, layer: LayerFacts) -> str | None:
    """The linear layer that a leaf is behind, past activations, normalization, dropout and reshapes; else None."""
    found = facts.sole_producer(layer.path)
    while found is not None and found.kind in _BETWEEN:
        found = facts.sole_producer(found.path)
    return found.path if found is not None and found.kind in LINEAR_KINDS else None


def batch_norms_of_selu(facts: Facts) -> tuple[LayerFacts, ...]:
    """Every call of batch normalization behind a layer of a self-normalizing network.

    Args:
        facts: What is known of the model.
    """
    selu = selu_layers(facts)
    if not selu:
        return ()
    return tuple(norm for norm in facts.of_kind(Kind.NORM) if norm.is_batch_norm and linear_before(facts, norm) in selu)
