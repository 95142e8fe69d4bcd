"""N119: group normalization at a small batch, without weight standardization."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import Facts, Kind, LayerFacts
from advisor.graph import Wrap
from advisor.rules.base import Case, Requirement, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.normalization.batch_statistics import is_noisy
from advisor.rules.registry import rule
from keras_normpack import WeightStandardization

# As many convolutions as half a ResNet-18 has; in shallow networks there is little to gain, and nothing was published.
DEEP = 10

# Exact classes: a subclass may do what it likes with its kernel.
_STANDARDIZED = frozenset({layers.Conv2D, layers.Conv3D})


def _network(blocks: int, *, standardized: bool = False, norm: str = "group", channels: int = 3) -> keras.Model:
    inputs = maps = keras.Input((8, 8, channels))
    for _ in range(blocks):
        conv = layers.Conv2D(8, 3, padding="same", use_bias=False)
        maps = (WeightStandardization(conv) if standardized else conv)(maps)
        maps = (layers.GroupNormalization(2) if norm == "group" else layers.LayerNormalization())(maps)
        maps = layers.ReLU()(maps)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))


@rule
class NoWeightStandardization(Rule):
    """A deep network with group normalization at a small batch, its kernels not standardized.

    What it does:
        Finds at least 10 convolutions of images or volumes that go straight into group normalization, where batches are
        too small for batch normalization: fewer than 8 samples per replica. Frozen layers and those whose kernels are
        reparameterized already do not count; networks of depthwise convolutions, with which nobody has published it,
        are left alone.

    Why it matters:
        Group normalization does without the batch, but in large batches batch normalization still trains deep networks
        better. Kernels of mean 0 and variance 1 smooth the loss and make up for that: with weight standardization,
        group normalization at one image per GPU is level with batch normalization at large batches, or better, on
        ImageNet and COCO.

    Example:
        ```python
        for filters in (64, 64, 128, 128, 256, 256, 512, 512, 512, 512):
            x = layers.Conv2D(filters, 3, use_bias=False)(x)
            x = layers.ReLU()(layers.GroupNormalization(32)(x))
        model.fit(images, batch_size=2)
        ```

    Fix:
        Wraps the convolutions in `keras_normpack.WeightStandardization`; their kernels stay as the direction.
        Safety: retrain.
    """

    code = "N119"
    name = "no-weight-standardization"
    severity = Severity.INFO
    requires = frozenset({Requirement.BATCH_SIZE})
    references = ("qiao-2019",)

    VALID = (
        Case("a batch of 8", lambda: _network(10), {"batch_size": 8}),
        Case("9 convolutions", lambda: _network(9), {"batch_size": 2}),
        Case("standardized already", lambda: _network(10, standardized=True), {"batch_size": 2}),
        Case("layer normalization", lambda: _network(10, norm="layer"), {"batch_size": 2}),
    )
    INVALID = (
        Case(
            "10 convolutions at batch 2",
            lambda: _network(10),
            {"batch_size": 2},
            lambda: _network(10, standardized=True),
        ),
        Case(
            "a batch that replicas share",
            lambda: _network(10),
            {"batch_size": 16, "replicas": 8},
            lambda: _network(10, standardized=True),
        ),
        Case(
            "one input channel",
            lambda: _network(11, channels=1),
            {"batch_size": 1},
            lambda: _network(11, channels=1, standardized=True),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        if facts.data is not None and facts.data.modality != "image":
            return
        if any(_is_depthwise(conv) for conv in facts.of_kind(Kind.CONV, Kind.DEPTHWISE)):
            return
        convolutions = [conv for conv in facts.of_kind(Kind.CONV) if _gains(facts, conv)]
        if len(convolutions) < DEEP:
            return
        yield self.finding(
            *convolutions,
            message=(
                f"{len(convolutions)} convolutions go into group normalization at batches of "
                f"{facts.training.replica_batch}, and their kernels are not standardized"
            ),
            why="Alone, group normalization does not reach what batch normalization does in large batches.",
            fix=Fix(
                f"standardize the kernels of {len(convolutions)} convolutions",
                tuple(Wrap(conv.path, WeightStandardization) for conv in convolutions),
                "retrain",
            ),
        )


def _is_depthwise(conv: LayerFacts) -> bool:
    return conv.kind is Kind.DEPTHWISE or issubclass(conv.cls, layers.SeparableConv2D)


def _gains(facts: Facts, conv: LayerFacts) -> bool:
    """Whether a convolution is to be standardized: its calls all go into group normalization at a small batch."""
    calls = facts.graph.calls_of(conv.path)
    if calls[0] != conv.path or conv.cls not in _STANDARDIZED or conv.wrapper is not None or not conv.trainable:
        return False
    return (
        conv.channels is not None
        and _entries(conv, conv.channels) > 1
        and all(_feeds_group_norm(facts, call) for call in calls)
    )


def _feeds_group_norm(facts: Facts, call: str) -> bool:
    norm = facts.sole_consumer(call)
    return (
        norm is not None
        and issubclass(norm.cls, layers.GroupNormalization)
        and facts[call].is_linear
        and is_noisy(facts, norm)
    )


def _entries(conv: LayerFacts, channels: int) -> int:
    """Entries of the kernel per output channel; with one there is nothing to standardize."""
    return (conv.params - conv.has_bias * channels) // channels
