"""N108: stacked recurrent layers without normalization between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import keras
from keras import layers

import keras_normpack
from advisor.facts import Facts, Kind, LayerFacts
from advisor.graph import InsertBefore
from advisor.rules.base import Case, Rule
from advisor.rules.finding import Finding, Fix, Severity
from advisor.rules.normalization.choice import layer_norm
from advisor.rules.registry import rule

_PLAIN = (layers.LSTM, layers.GRU, layers.SimpleRNN)
_PASSED = frozenset({Kind.DROPOUT, Kind.ACTIVATION, Kind.MERGE, Kind.RESHAPE})


def _stack(*recurrent: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6, 3)), *recurrent, layers.Dense(2)])


def _words(*, normalized: bool) -> keras.Model:
    words = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8, mask_zero=True)(words)
    for _ in range(2):
        x = layers.Bidirectional(layers.GRU(4, return_sequences=True))(x)
        x = layers.Dropout(0.1)(layers.LayerNormalization()(x) if normalized else x)
    x = layers.Bidirectional(layers.GRU(4))(x)
    return keras.Model(words, layers.Dense(2)(x))


def _encoder_and_decoder(*, normalized: bool) -> keras.Model:
    source, target = keras.Input((6, 3)), keras.Input((5, 3))
    steps, *_ = layers.LSTM(8, return_sequences=True, return_state=True)(source)
    steps = layers.LayerNormalization()(steps) if normalized else steps
    _, hidden, carry = layers.LSTM(8, return_state=True)(steps)
    decoded = layers.LSTM(8, return_sequences=True)(target, initial_state=[hidden, carry])
    return keras.Model([source, target], layers.Dense(2)(decoded))


def _residual(*, normalized: bool) -> keras.Model:
    inputs = x = keras.Input((6, 8))
    for block in range(2):
        y = layers.LayerNormalization()(x) if normalized and block else x
        x = layers.Add()([x, layers.LSTM(8, return_sequences=True)(y)])
    return keras.Model(inputs, layers.Dense(2)(x))


def _images() -> keras.Model:
    inputs = x = keras.Input((4, 8, 8, 1))
    for _ in range(3):
        x = layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)(x)
    return keras.Model(inputs, layers.Conv3D(1, 3, padding="same")(x))


@rule
class RecurrentStackWithoutNorm(Rule):
    """Stacked recurrent layers without normalization between them.

    What it does:
        Finds `LSTM`, `GRU` and `SimpleRNN` layers, bidirectional or not, that read the sequence of another one with
        nothing but dropout, activations, additions and reshapes between. Layers with normalization inside their steps,
        cells of your own, convolutional recurrent layers, and decoders that only take over states are left alone.

    Why it matters:
        What a recurrent layer hands on changes its scale with the steps and while it learns, and every layer behind it
        has to follow. Layer normalization treats each step on its own, whatever the batch and the length; with it,
        recurrent networks train faster and more stably, most of all on long sequences. Two LSTM layers on the rows of
        scikit-learn's digits, 5 epochs: 88 % of the test images right with it, 78 % without (docs/adr/0011).

    Example:
        ```python
        layers.LSTM(64, return_sequences=True), layers.LSTM(64, return_sequences=True), layers.LSTM(64)
        ```

    Fix:
        Puts layer normalization behind each layer that others read, before the dropout there, for those readers alone;
        states and other readers get what they got. Masks pass on, and the fused kernels of a GPU stay in use. Stronger,
        but without those kernels, is normalization inside each step: `keras_normpack.LayerNormLSTM`, `LayerNormGRU`.
        With fewer than 8 features there is no fix. Safety: retrain.
    """

    code = "N108"
    name = "recurrent-stack-without-norm"
    severity = Severity.WARNING
    references = ("ba-2016",)

    VALID = (
        Case("a single layer", lambda: _stack(layers.LSTM(8))),
        Case(
            "normalized between",
            lambda: _stack(layers.LSTM(8, return_sequences=True), layers.LayerNormalization(), layers.LSTM(8)),
        ),
        Case(
            "normalized inside",
            lambda: _stack(keras_normpack.LayerNormLSTM(8, return_sequences=True), keras_normpack.LayerNormLSTM(8)),
        ),
        Case(
            "a decoder of one vector",
            lambda: _stack(layers.LSTM(8), layers.RepeatVector(4), layers.LSTM(8)),
        ),
        Case("convolutional", _images),
    )
    INVALID = (
        Case(
            "two layers",
            lambda: _stack(layers.LSTM(8, return_sequences=True), layers.GRU(8)),
            expected=lambda: _stack(layers.LSTM(8, return_sequences=True), layers.LayerNormalization(), layers.GRU(8)),
        ),
        Case(
            "masked words, bidirectional, with dropout",
            lambda: _words(normalized=False),
            expected=lambda: _words(normalized=True),
        ),
        Case(
            "states handed on",
            lambda: _encoder_and_decoder(normalized=False),
            expected=lambda: _encoder_and_decoder(normalized=True),
        ),
        Case("residual", lambda: _residual(normalized=False), expected=lambda: _residual(normalized=True)),
        Case("4 features", lambda: _stack(layers.LSTM(4, return_sequences=True), layers.LSTM(4))),
    )

    def check(self, facts: Facts) -> Iterator[Finding]:
        depths: dict[str, int] = {}
        stacks: dict[str, list[LayerFacts]] = defaultdict(list)
        bottoms: dict[str, str] = {}
        for layer in facts.of_kind(Kind.RECURRENT):
            below = _layers_below(facts, layer) if _is_plain(layer) else []
            lowest = next(iter(below), layer)
            bottoms[layer.path] = bottoms.get(lowest.path, lowest.path)
            depths[layer.path] = 1 + max((depths.get(other.path, 1) for other in below), default=0)
            if below and layer.trainable:
                stacks[bottoms[layer.path]].append(layer)
        for readers in stacks.values():
            yield self._bare(facts, readers, max(depths[layer.path] for layer in readers))

    def _bare(self, facts: Facts, readers: list[LayerFacts], depth: int) -> Finding:
        places = dict.fromkeys(_place_before(facts, layer) for layer in readers)
        choices = {place: layer_norm(facts[_sequence_before(facts, place)], "") for place in places}
        edits = [InsertBefore(place, (choice.spec,)) for place, choice in choices.items() if choice is not None]
        names = ", ".join(f"`{layer.path}`" for layer in readers)
        return self.finding(
            *readers,
            message=f"{depth} recurrent layers are stacked without normalization: before {names} there is none",
            why="Each has to follow the changing scale of the sequence it reads. Layers with normalization inside the "
            "step, `keras_normpack.LayerNormLSTM` and `LayerNormGRU`, do more, but not by a GPU's fused kernels.",
            fix=Fix(f"normalize the sequences before {names}", tuple(edits), "retrain")
            if len(edits) == len(places)
            else None,
        )


def _is_plain(layer: LayerFacts) -> bool:
    return issubclass(layer.cls, _PLAIN) and layer.is_of_keras


def _sequence_before(facts: Facts, path: str) -> str:
    """The leaf whose sequence a leaf reads; states come behind it, in whatever order they were named."""
    sources = facts.graph.sources(path)
    shapes = {source: facts.graph.nodes[source.path].output_shapes[source.index] for source in sources}
    return next((source.path for source in sources if len(shapes[source]) == 3), sources[0].path)


def _layers_below(facts: Facts, layer: LayerFacts) -> list[LayerFacts]:
    """The recurrent layers whose sequences a recurrent layer reads, with nothing between that normalizes."""
    found: list[LayerFacts] = []
    seen: set[str] = set()
    frontier = [_sequence_before(facts, layer.path)] if facts.graph.producers(layer.path) else []
    while frontier:
        current = facts[frontier.pop()]
        if current.path in seen:
            continue
        seen.add(current.path)
        if current.kind is Kind.NORM:
            return []
        if _is_plain(current) and len(current.output_shape) == 3:
            found.append(current)
        elif current.kind in _PASSED:
            frontier.extend(facts.graph.producers(current.path))
    return found


def _place_before(facts: Facts, layer: LayerFacts) -> str:
    """The leaf before which the normalization goes: the layer, or the first dropout in a row right before it."""
    place = layer.path
    while True:
        before = facts[_sequence_before(facts, place)]
        if before.kind is not Kind.DROPOUT or facts.sole_consumer(before.path) is not facts[place]:
            return place
        place = before.path
