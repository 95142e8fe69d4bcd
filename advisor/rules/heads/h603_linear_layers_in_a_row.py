"""H603: linear layers with nothing between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import keras
from keras import layers

from advisor.facts import Facts, Kind, LayerFacts
from advisor.graph import InsertAfter, LayerSpec
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Confidence, Finding, Fix, Severity
from advisor.rules.registry import rule

# Depthwise and transposed convolutions stand beside other linear layers by design.
_CLASSES = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.SeparableConv1D, layers.SeparableConv2D)
_SAME_VALUES = (
    layers.Flatten,
    layers.Identity,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.ZeroPadding3D,
    layers.Cropping1D,
    layers.Cropping2D,
    layers.Cropping3D,
)

# Batch normalization, activation and the scaling of squeeze and excitation.
_BESIDE_DEPTHWISE = frozenset({Kind.NORM, Kind.ACTIVATION, Kind.MERGE})


def _perceptron(*units: int, activation: keras.Layer | None = None, norm: bool = False) -> keras.Model:
    inner: list[keras.Layer] = []
    for width in units:
        inner += [layers.Dense(width), *([layers.BatchNormalization()] if norm else [])]
        inner += [activation] if activation else []
    return keras.Sequential([keras.Input((6,)), *inner, layers.Dense(2, activation="softmax")])


def _images(*between: keras.Layer, kernel: int | tuple[int, int] = 3) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, kernel),
            *between,
            layers.Conv2D(4, kernel if isinstance(kernel, int) else kernel[::-1], activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


def _bottleneck() -> keras.Model:
    inputs = keras.Input((8, 8, 4))
    maps = layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3)(inputs)))
    maps = layers.BatchNormalization()(layers.Conv2D(2, 1, use_bias=False)(maps))
    maps = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 1, use_bias=False)(maps)))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))


def _depthwise_and_pointwise() -> keras.Model:
    maps = [layers.DepthwiseConv2D(3), layers.Conv2D(8, 1), layers.ReLU(), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((8, 8, 4)), *maps, layers.Dense(2)])


@rule
class LinearLayersInARow(Rule):
    """Two linear layers follow each other without an activation between them.

    What it does:
        Finds dense and convolution layers without an activation whose only reader is another one, past batch
        normalization, dropout, flattening and padding. It stays silent where the pair is more than one layer could be,
        or less: where the first is narrower than both what it reads and what follows (a bottleneck, as in autoencoders
        and low-rank factors) or projects what a depthwise convolution gave (MobileNetV2, MobileNetV3), and for
        depthwise, grouped, transposed and one-sided convolutions, with which others are composed on purpose. Layer,
        group and instance normalization divide by the deviation of each sample, which is no linear step, so a pair with
        one of these between is left alone.

    Why it matters:
        A linear function of a linear function is linear: two such layers compute what one could, with more weights.
        Without an activation between them, depth adds nothing to what the network can learn.

    Example:
        ```python
        layers.Conv2D(32, 3), layers.Conv2D(64, 3, activation="relu")
        ```

    Fix:
        Puts `ReLU` between them, after the batch normalization where there is one. Layers that are called several times
        are left as they are. Safety: retrain.
    """

    code = "H603"
    name = "linear-layers-in-a-row"
    severity = Severity.WARNING
    references = ("glorot-2011",)
    confidence = Confidence.HEURISTIC

    VALID = (
        Case("activations between them", lambda: _perceptron(8, 8, activation=layers.ReLU())),
        Case("a bottleneck", lambda: _perceptron(1)),
        Case("an inverted residual's linear bottleneck", _bottleneck),
        Case("depthwise and pointwise", _depthwise_and_pointwise),
        Case("one kernel split in two", lambda: _images(kernel=(3, 1))),
        Case("max pooling between them, which is not linear", lambda: _images(layers.MaxPooling2D())),
        Case("layer normalization between them", lambda: _images(layers.LayerNormalization())),
    )
    INVALID = (
        Case("dense layers", lambda: _perceptron(8), expected=lambda: _perceptron(8, activation=layers.ReLU())),
        Case(
            "batch normalization between them",
            lambda: _perceptron(8, 8, norm=True),
            expected=lambda: _perceptron(8, 8, norm=True, activation=layers.ReLU()),
        ),
        Case(
            "convolutions with dropout between them",
            lambda: _images(layers.SpatialDropout2D(0.2)),
            expected=lambda: _images(layers.ReLU(), layers.SpatialDropout2D(0.2)),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        for layer in facts.layers.values():
            pair = _pair(facts, layer) if _is_plain(layer) and layer.is_linear else None
            if pair is None or _is_on_purpose(pair) or _projects_depthwise(facts, pair.first):
                continue
            shared = any(facts.graph.is_shared(path) for path in (pair.first.path, pair.last_norm))
            yield self.finding(
                pair.first,
                pair.second,
                message=f"between `{pair.first.path}` and `{pair.second.path}` there is no activation",
                why="Two linear layers in a row compute what one could; the second adds weights and no depth.",
                fix=None
                if shared
                else Fix(
                    f"put ReLU after `{pair.last_norm}`",
                    (InsertAfter(pair.last_norm, (LayerSpec(layers.ReLU),)),),
                    "retrain",
                ),
            )


class _Pair(NamedTuple):
    """Two linear layers, and the leaf between them after which an activation belongs."""

    first: LayerFacts
    second: LayerFacts
    last_norm: str


def _is_plain(layer: LayerFacts) -> bool:
    return (
        issubclass(layer.cls, _CLASSES)
        # The transposed convolutions are siblings of these classes, the depthwise ones have a kind of their own.
        and layer.kind in {Kind.DENSE, Kind.CONV}
        and layer.wrapper in (None, layers.TimeDistributed)
        and layer.config.get("groups", 1) == 1
    )


def _pair(facts: Facts, first: LayerFacts) -> _Pair | None:
    last_norm, layer = first.path, facts.sole_consumer(first.path)
    while layer is not None and (
        layer.is_batch_norm or layer.kind is Kind.DROPOUT or issubclass(layer.cls, _SAME_VALUES)
    ):
        if layer.is_batch_norm:
            last_norm = layer.path
        layer = facts.sole_consumer(layer.path)
    return _Pair(first, layer, last_norm) if layer is not None and _is_plain(layer) else None


def _is_on_purpose(pair: _Pair) -> bool:
    """Whether the two are not the same as one layer: a bottleneck, or a kernel split along its axes."""
    if any(_is_one_sided(layer) for layer in (pair.first, pair.second)):
        return True
    reads, between, gives = _channels_read(pair.first), _channels_read(pair.second), pair.second.channels
    return reads is None or between is None or gives is None or between < min(reads, gives)


def _projects_depthwise(facts: Facts, layer: LayerFacts) -> bool:
    """Whether it is the linear end of an inverted residual: pointwise, on what a depthwise convolution gave."""
    frontier = [layer.path] if layer.is_pointwise else []
    seen: set[str] = set()
    while frontier:
        producers = [producer for producer in facts.producers(frontier.pop()) if producer.path not in seen]
        if any(producer.kind is Kind.DEPTHWISE for producer in producers):
            return True
        seen.update(producer.path for producer in producers)
        frontier += [producer.path for producer in producers if producer.kind in _BESIDE_DEPTHWISE]
    return False


def _is_one_sided(layer: LayerFacts) -> bool:
    return len(set(layer.config.get("kernel_size", (1,)))) > 1


def _channels_read(layer: LayerFacts) -> int | None:
    channel_axis = 1 if layer.data_format == "channels_first" else -1
    return layer.input_shapes[0][channel_axis] if layer.input_shapes else None
