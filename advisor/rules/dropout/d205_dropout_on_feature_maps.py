"""D205: element-wise dropout on feature maps."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
from keras import layers

from advisor.facts import LINEAR_KINDS, Facts, Kind, LayerFacts
from advisor.facts.residual_blocks import residual_blocks
from advisor.graph import LayerSpec, Replace
from advisor.rules.base import Case, Rule
from advisor.rules.dropout.places import is_active
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.registry import rule
from keras_normpack import DropBlock2D

# The block size and the rate that Ghiasi et al. 2018, section 4.1, found best for a ResNet-50, on maps of 28 and 14.
BLOCK_SIZE = 7
SMALLEST_MAP = 2 * BLOCK_SIZE
BLOCK_RATE = 0.1

_SPATIAL = {3: layers.SpatialDropout1D, 4: layers.SpatialDropout2D, 5: layers.SpatialDropout3D}
_CONVOLUTIONS = frozenset({Kind.CONV, Kind.DEPTHWISE})
_WEIGHTED = LINEAR_KINDS | {Kind.RECURRENT, Kind.ATTENTION, Kind.EMBEDDING}
# Between the dropout and the end of the maps these may stand.
_PASSED = frozenset({Kind.ACTIVATION, Kind.DROPOUT})


def _images(drop: keras.Layer, *, size: int = 8) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            drop,
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


def _before_head(summary: keras.Layer) -> keras.Model:
    maps = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Dropout(0.3)]
    return keras.Sequential([keras.Input((8, 8, 3)), *maps, summary, layers.Dense(2)])


def _series(drop: keras.Layer) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((12, 3)),
            layers.Conv1D(4, 3, activation="relu"),
            drop,
            layers.Conv1D(4, 3, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(2),
        ]
    )


def _position_wise(drop: keras.Layer) -> keras.Model:
    inputs = keras.Input((12, 4))
    attended = layers.Add()([inputs, layers.MultiHeadAttention(2, 2)(inputs, inputs)])
    hidden = drop(layers.Conv1D(8, 1, activation="relu")(attended))
    return keras.Model(inputs, layers.Dense(2)(layers.Add()([attended, layers.Conv1D(4, 1)(hidden)])))


def _residual(drop: keras.Layer) -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    maps = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    branch = drop(layers.Conv2D(4, 3, padding="same", activation="relu")(maps))
    maps = layers.Add()([maps, layers.Conv2D(4, 3, padding="same")(branch)])
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps)))


@rule
class DropoutOnFeatureMaps(Rule):
    """Element-wise dropout on feature maps of convolutions drops next to no information.

    What it does:
        Finds `Dropout` without a `noise_shape` on maps that come from convolutions wider than one position and are read
        as maps. Dropout right before the maps end, by flattening or global pooling, belongs to the head and is left
        alone.

    Why it matters:
        Neighbouring values of a feature map say nearly the same, so that what is dropped at one position is known from
        the next: the noise slows training down and regularizes little. Tompson et al. 2015 drop whole channels instead.
        Ghiasi et al. 2018 drop blocks; for a ResNet-50 on ImageNet they give 76.8 % accuracy with dropout, 77.4 % with
        spatial dropout and 78.1 % with DropBlock.

    Example:
        ```python
        layers.Conv2D(32, 3, activation="relu"), layers.Dropout(0.25), layers.Conv2D(64, 3, activation="relu")
        ```

    Fix:
        Replaces it by the spatial dropout of the same rate; in a residual network, on maps of at least 14 × 14, by
        `keras_normpack.DropBlock2D` with blocks of 7 × 7 and a rate of at most 0.1. Where a batch normalization
        follows, D201 moves the dropout away instead. Safety: retrain.
    """

    code = "D205"
    name = "dropout-on-feature-maps"
    severity = Severity.INFO
    references = ("tompson-2015", "ghiasi-2018")

    VALID = (
        Case("spatial dropout", lambda: _images(layers.SpatialDropout2D(0.25))),
        Case("one draw for all positions of a channel", lambda: _images(layers.Dropout(0.25, (None, 1, 1, 4)))),
        Case("before flattening", lambda: _before_head(layers.Flatten())),
        Case("before global pooling", lambda: _before_head(layers.GlobalAveragePooling2D())),
        Case("between pointwise convolutions of a Transformer", lambda: _position_wise(layers.Dropout(0.1))),
        Case("rate 0", lambda: _images(layers.Dropout(0.0))),
    )
    INVALID = (
        Case(
            "between convolutions",
            lambda: _images(layers.Dropout(0.25)),
            expected=lambda: _images(layers.SpatialDropout2D(0.25)),
        ),
        Case("series", lambda: _series(layers.Dropout(0.2)), expected=lambda: _series(layers.SpatialDropout1D(0.2))),
        Case(
            "a residual network",
            lambda: _residual(layers.Dropout(0.3)),
            expected=lambda: _residual(DropBlock2D(0.1, block_size=7)),
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        found = [layer for layer in facts.of_kind(Kind.DROPOUT) if _is_element_wise(layer) and _on_maps(facts, layer)]
        is_residual = bool(found) and next(residual_blocks(facts), None) is not None
        for layer in found:
            if not facts.graph.is_first_call(layer.path):
                continue
            spec = _replacement(facts, layer, is_residual)
            yield self.finding(
                layer,
                message=f"`{layer.path}` drops single elements of feature maps",
                why="What is dropped at one position is still known from its neighbours, so it regularizes little.",
                fix=Fix(f"replace `{layer.path}` by {spec.code()}", (Replace(layer.path, spec),), "retrain")
                if spec
                else None,
            )


def _is_element_wise(layer: LayerFacts) -> bool:
    return (
        layer.cls is layers.Dropout
        and layer.wrapper is None
        and is_active(layer)
        and layer.config.get("noise_shape") is None
        and len(layer.output_shape) in _SPATIAL
    )


def _on_maps(facts: Facts, dropout: LayerFacts) -> bool:
    is_vector = math.prod(size or 2 for size in _sizes(facts, dropout)) == 1
    return not is_vector and _from_convolutions(facts, dropout) and not _ends_maps(facts, dropout)


def _from_convolutions(facts: Facts, dropout: LayerFacts) -> bool:
    """Whether the nearest layers that mix positions, past everything that works on one position, are convolutions."""
    found = False
    seen: set[str] = set()
    frontier = [dropout.path]
    while frontier:
        for layer in facts.producers(frontier.pop()):
            if layer.path in seen:
                continue
            seen.add(layer.path)
            if layer.kind in _WEIGHTED and not layer.is_pointwise:
                if layer.kind not in _CONVOLUTIONS:
                    return False
                found = True
            elif len(layer.output_shape) == len(dropout.output_shape):
                frontier.append(layer.path)
    return found


def _ends_maps(facts: Facts, dropout: LayerFacts) -> bool:
    """Whether what reads the dropout, past activations, makes one vector of every map."""
    frontier, readers = [dropout.path], []
    while frontier:
        following = facts.consumers(frontier.pop())
        frontier += [layer.path for layer in following if layer.kind in _PASSED]
        readers += [layer for layer in following if layer.kind not in _PASSED]
    return all(layer.kind in {Kind.RESHAPE, Kind.POOLING} and _is_vector(layer) for layer in readers)


def _is_vector(layer: LayerFacts) -> bool:
    return math.prod(size or 2 for size in layer.output_shape[1:-1]) == 1


def _replacement(facts: Facts, layer: LayerFacts, is_residual: bool) -> LayerSpec | None:
    """What takes its place; None for series with the channels first, which `SpatialDropout1D` does not know."""
    rate, rank = float(layer.config["rate"]), len(layer.output_shape)
    channels_first = _channels_first(facts, layer)
    if channels_first and rank == 3:
        return None
    layout = {"data_format": "channels_first"} if channels_first else {}
    if rank == 4 and is_residual and all(size is not None and size >= SMALLEST_MAP for size in _sizes(facts, layer)):
        return LayerSpec(DropBlock2D, {"rate": min(rate, BLOCK_RATE), "block_size": BLOCK_SIZE, **layout})
    return LayerSpec(_SPATIAL[rank], {"rate": rate, **layout})


def _sizes(facts: Facts, layer: LayerFacts) -> tuple[int | None, ...]:
    """Height and width of the maps, or their like."""
    return layer.output_shape[2:] if _channels_first(facts, layer) else layer.output_shape[1:-1]


def _channels_first(facts: Facts, layer: LayerFacts) -> bool:
    """Whether the nearest layer that has a layout of its own keeps the channels first."""
    producer: LayerFacts | None = layer
    while producer is not None and producer.data_format is None:
        read = facts.producers(producer.path)
        producer = read[0] if read else None
    return producer is not None and producer.data_format == "channels_first"
