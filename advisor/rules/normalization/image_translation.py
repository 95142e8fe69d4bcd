"""Whether a network translates images: from one style, season or kind of image into another."""

from __future__ import annotations

from advisor.facts import Facts, Head, Kind, LayerFacts
from advisor.rules.normalization.surroundings import stride_of

_TASKS = frozenset({"image_to_image", "generation"})
_SKIPS = frozenset({"Add", "Concatenate"})


def translates_images(facts: Facts) -> bool:
    """Whether a network is the generator of an image translation, or of a style transfer.

    By its form: images in and images of the same size out, through tanh, made smaller on the way, past which there are
    skips or residual blocks. A pixel-wise loss speaks against it, as contrast matters to that; so does a network that
    keeps the size all through (denoising), enlarges it (super-resolution), has no skips (autoencoders) or starts from a
    latent vector. Where the task is given, the loss may be any, and the output may be a sigmoid, too.

    Args:
        facts: What is known of the model.
    """
    if facts.model.task not in _TASKS or len(facts.model.heads) != 1:
        return False
    (head,) = facts.model.heads
    given = facts.task is not None
    activations = {"tanh", "sigmoid"} if given else {"tanh"}
    if head.activation not in activations or (head.loss is not None and not given):
        return False
    return _keeps_size(facts, head) and _is_hourglass_with_skips(facts)


def _keeps_size(facts: Facts, head: Head) -> bool:
    if head.linear is None:
        return False
    linear = facts[head.linear]
    shape, axis = linear.output_shape, linear.channel_axis
    if len(shape) != 4 or linear.channels not in (1, 3):
        return False
    inputs = [node.output_shapes[0] for node in facts.graph.inputs]
    return any(len(image) == 4 and _without(image, axis) == _without(shape, axis) for image in inputs)


def _without(shape: tuple[int | None, ...], axis: int) -> tuple[int | None, ...]:
    return (*shape[1:axis], *shape[axis + 1 :])


def _is_hourglass_with_skips(facts: Facts) -> bool:
    smaller = any(_downsamples(layer) for layer in facts.of_kind(Kind.CONV, Kind.POOLING))
    skips = any(
        layer.cls.__name__ in _SKIPS and len(facts.graph.producers(layer.path)) > 1
        for layer in facts.of_kind(Kind.MERGE)
    )
    return smaller and skips


def _downsamples(layer: LayerFacts) -> bool:
    return "Transpose" not in layer.cls.__name__ and stride_of(layer) > 1
