"""Whether a network looks like the discriminator of a GAN."""

from __future__ import annotations

from advisor.facts import Facts, Kind
from advisor.rules.normalization.activations import activation_behind
from advisor.rules.normalization.surroundings import stride_of

FEWEST_CONVOLUTIONS = 2

_LEAKY = frozenset({"leaky_relu", "leakyrelu"})
_ENDS = frozenset({None, "linear", "sigmoid"})


def is_discriminator(facts: Facts) -> bool:
    """Whether a network has the form that Radford et al. 2016 gave to discriminators.

    Images in, one number out, or one per patch; two or more convolutions with stride 2, a leaky ReLU behind every
    convolution, and no pooling. A task given other than `"generation"` says that it is none.

    Args:
        facts: What is known of the model.
    """
    if facts.task not in (None, "generation") or len(facts.model.heads) != 1 or any(facts.of_kind(Kind.POOLING)):
        return False
    (head,) = facts.model.heads
    if head.linear is None or facts[head.linear].channels != 1 or head.activation not in _ENDS:
        return False
    convolutions = [layer for layer in facts.of_kind(Kind.CONV) if layer.path != head.linear]
    return (
        any(len(node.output_shapes[0]) == 4 for node in facts.graph.inputs)
        and sum(stride_of(layer) > 1 for layer in convolutions) >= FEWEST_CONVOLUTIONS
        and all("Transpose" not in layer.cls.__name__ for layer in convolutions)
        and all(activation_behind(facts, layer) in _LEAKY for layer in convolutions)
    )
