"""Which linear layers can take up a map per channel, such as batch normalization, at inference.

A linear layer takes up the map of its output, `s · (W·x + b) + t`, and the map of its input, `W·(s · x + t) + b`.
Layers that commute with the map may stand between the two (`commuting.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from keras import layers
from keras.ops import convert_to_numpy

from advisor.facts.affine_maps import AffineMap, affine_axis
from advisor.facts.commuting import Condition, Passage, passage_to_input, passage_to_output
from advisor.facts.facts import Facts
from advisor.facts.kinds import Kind, core_layer, works_by_itself
from advisor.facts.layer_facts import LINEAR_KINDS, LayerFacts
from advisor.graph.keras_internals import wrapped_layers
from keras_normpack import WeightNormalization, WeightStandardization

# Exact classes: a subclass may compute something else from the same kernel.
_FOLDABLE = {
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.Dense,
}

BAKEABLE = (WeightNormalization, WeightStandardization, layers.SpectralNormalization)
"""Wrappers that compute kernels, which `remove_weight_normalization` makes plain ones."""


@dataclass(frozen=True, eq=False)
class Taker:
    """A linear layer that takes up a map.

    Attributes:
        path: The first call of the layer.
        channels: For each of its channels, that of the map.
        is_baked: Whether the kernel is the layer's own; else that which a wrapper computes has to be baked in first.
    """

    path: str
    channels: np.ndarray
    is_baked: bool = True


@dataclass(frozen=True, eq=False)
class Folding:
    """Where a map goes: `takers` or a reason.

    Attributes:
        takers: The layers that take it up, all of them together.
        conditions: What the map has to fulfil for that.
        is_direct: Whether nothing stands between them and the map.
        reason: Why there are none.
    """

    takers: tuple[Taker, ...] = ()
    conditions: frozenset[Condition] = frozenset()
    is_direct: bool = True
    reason: str | None = None


def unmet(conditions: Container[Condition], values: AffineMap) -> list[Condition]:
    """Those of the conditions that the numbers of a map do not fulfil."""
    met = {
        Condition.NO_SHIFT: not np.any(values.shift),
        Condition.NO_NEGATIVE_SCALE: not np.any(values.scale < 0),
    }
    return [condition for condition in Condition if condition in conditions and not met[condition]]


def plain_weights(facts: Facts, layer: LayerFacts) -> tuple[list[np.ndarray], np.ndarray | None] | None:
    """The kernels and the bias of a layer that computes with nothing else; None for any other layer."""
    operation = facts.graph.nodes[layer.path].operation
    own = core_layer(operation)
    if layer.cls not in _FOLDABLE or not works_by_itself(operation) or _is_adapted(operation):
        return None
    arrays = [(variable.name, np.asarray(convert_to_numpy(variable.value))) for variable in own.variables]
    return [array for name, array in arrays if name != "bias"], next((a for name, a in arrays if name == "bias"), None)


def linear_layers_before(facts: Facts, path: str, gone: Container[str] = ()) -> Folding:
    """The layers before a map per channel whose output it maps, if they can take it up.

    `γ · (W·x + b − μ) / √(σ² + ε) + β` is the linear layer `(s·W)·x + (s·(b − μ) + β)` with `s = γ / √(σ² + ε)`, if
    nothing else reads what stands between the two. Several layers take up the map behind a concatenation of them. A
    layer called several times does if every call of either layer belongs to such a pair.

    Args:
        facts: What is known of the model.
        path: Path of a call of a batch normalization or another layer that maps channels.
        gone: Paths of calls to look through, of maps that were folded before this one.

    Returns:
        The linear layers, or the reason why there are none.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> conv, norm = keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization(name="norm")
    >>> facts = gather_facts(read_graph(keras.Sequential([keras.Input((8, 8, 3)), conv, norm])))
    >>> [taker.path for taker in linear_layers_before(facts, "norm").takers]
    ['conv']

    References:
        Jacob et al. 2018, arXiv:1712.05877, section 3.2.
    """
    return _WalkBack(facts, path, gone).folding()


def linear_layers_after(facts: Facts, path: str, gone: Container[str] = ()) -> Folding:
    """The layers after a map per channel that read it, if all of them can take it up.

    `W·(s · x + t) + b` is the linear layer `(W·s)·x + (W·t + b)`; where the layer pads with zeros, only if `t = 0`.

    Args:
        facts: What is known of the model.
        path: Path of a call of a batch normalization or another layer that maps channels.
        gone: Paths of calls to look through, of maps that were folded before this one.

    Returns:
        The linear layers, or the reason why there are none.

    Example:
    >>> import keras
    >>> from advisor.facts import gather_facts
    >>> from advisor.graph import read_graph
    >>> norm, dense = keras.layers.BatchNormalization(name="norm"), keras.layers.Dense(2, name="dense")
    >>> facts = gather_facts(read_graph(keras.Sequential([keras.Input((8, 3)), norm, keras.layers.Flatten(), dense])))
    >>> [taker.path for taker in linear_layers_after(facts, "norm").takers]
    ['dense']
    """
    return _WalkOn(facts, path, gone).folding()


class _CannotFoldError(Exception):
    """Carries the reason out of a walk."""


@dataclass(frozen=True, eq=False)
class _Stop:
    """The map at a node that the walk has reached."""

    path: str
    passage: Passage


@dataclass(eq=False)
class _Walk(ABC):
    """A walk from all calls of a layer, past those that commute, to the linear ones."""

    facts: Facts
    start: str
    gone: Container[str]
    _passed: dict[str, Passage] = field(default_factory=dict, init=False)
    _arrived: dict[str, Passage] = field(default_factory=dict, init=False)
    _conditions: set[Condition] = field(default_factory=set, init=False)

    _where: ClassVar[str]

    def folding(self) -> Folding:
        try:
            return self._find()
        except _CannotFoldError as reason:
            return Folding(reason=str(reason))

    def _find(self) -> Folding:
        graph = self.facts.graph
        calls = graph.calls_of(self.start)
        waiting = [stop for call in calls for stop in self._first(call)]
        while waiting:
            stop = waiting.pop()
            found = self._passed if self._passes(stop) else self._arrived
            if stop.path not in found:
                found[stop.path] = stop.passage
                waiting.extend(self._following(stop) if found is self._passed else ())
            elif not _agree(found[stop.path], stop.passage):
                raise _CannotFoldError(f"the layer {self._where} it would have to take up more than one")
        self._check_that_nothing_else_sees(calls)
        return Folding(tuple(self._takers()), frozenset(self._conditions), is_direct=not self._passed)

    def _first(self, call: str) -> Iterator[_Stop]:
        node, layer = self.facts.graph.nodes[call], self.facts[call]
        if node.call is None:
            raise _CannotFoldError("what it reads is not known")
        if node.call.kwargs.get("training"):
            raise _CannotFoldError("it is called with `training=True`")
        axis = affine_axis(self.facts.graph, layer)
        size = layer.output_shape[axis]
        if size is None:
            raise _CannotFoldError("the number of its channels is not known")
        yield from self._on(call, Passage(axis, np.arange(size)))

    def _passes(self, stop: _Stop) -> bool:
        """Whether the walk goes on behind a node."""
        layer = self.facts[stop.path]
        return layer.kind not in LINEAR_KINDS and self._behind(stop) is not None

    def _behind(self, stop: _Stop) -> Passage | None:
        return stop.passage if stop.path in self.gone else self._past(self.facts[stop.path], stop.passage)

    def _following(self, stop: _Stop) -> Iterator[_Stop]:
        passage = self._behind(stop)
        assert passage is not None
        self._conditions |= passage.conditions
        yield from self._on(stop.path, passage)

    def _takers(self) -> Iterator[Taker]:
        graph = self.facts.graph
        for path, passage in self._arrived.items():
            calls = graph.calls_of(path)
            if not all(call in self._arrived and _agree(self._arrived[call], passage) for call in calls):
                raise _CannotFoldError(f"the layer {self._where} it is called elsewhere, too")
            if calls[0] == path:
                yield Taker(path, passage.channels, not isinstance(graph.nodes[path].operation, BAKEABLE))

    @abstractmethod
    def _on(self, path: str, passage: Passage) -> Iterator[_Stop]:
        """The nodes next to one, in the direction of the walk."""

    @abstractmethod
    def _past(self, layer: LayerFacts, passage: Passage) -> Passage | None:
        """The map on the other side of a layer that is not linear."""

    @abstractmethod
    def _check_that_nothing_else_sees(self, calls: Sequence[str]) -> None:
        """Raise where the map is seen by something that does not take it up."""

    def _checked(self, stop: _Stop) -> _Stop:
        reason = None if self._passes(stop) else self._unfit(self.facts[stop.path], stop.passage)
        if reason:
            raise _CannotFoldError(reason)
        return stop

    @abstractmethod
    def _unfit(self, layer: LayerFacts, passage: Passage) -> str | None:
        """Why a layer at the end of the walk cannot take the map up."""

    def _unfit_weights(self, layer: LayerFacts) -> str | None:
        operation = self.facts.graph.nodes[layer.path].operation
        if layer.cls not in _FOLDABLE or _computes_kernels(operation) or _is_adapted(operation):
            return f"the layer {self._where} it computes its weights in its own way"
        return None


class _WalkBack(_Walk):
    """To the layers whose outputs are mapped."""

    _where = "before"

    def _on(self, path: str, passage: Passage) -> Iterator[_Stop]:
        graph = self.facts.graph
        node = graph.nodes[path]
        sources = graph.sources(path)
        if not sources:
            raise _CannotFoldError("what it reads is not known")
        if self.facts[path].cls is layers.Concatenate:
            passages: Iterable[Passage] = self._parts(path, passage)
        elif len(node.sources) == 1:
            # An input of a shared model comes from several layers.
            passages = [passage] * len(sources)
        else:
            raise _CannotFoldError("it reads the outputs of several layers")
        for source, part in zip(sources, passages, strict=True):
            if len(graph.nodes[source.path].output_shapes) != 1:
                raise _CannotFoldError(_NOT_LINEAR_BEFORE)
            yield self._checked(_Stop(source.path, part))

    def _parts(self, path: str, passage: Passage) -> Iterator[Passage]:
        """The map of a concatenation by its inputs."""
        sizes = [shape[passage.axis] or 0 for shape in self.facts[path].input_shapes]
        for part in np.split(passage.channels, np.cumsum(sizes)[:-1]):
            yield Passage(passage.axis, part)

    def _past(self, layer: LayerFacts, passage: Passage) -> Passage | None:
        if layer.cls is layers.Concatenate:
            return passage if self._joins_channels(layer, passage.axis) else None
        return passage_to_input(layer, passage.axis, passage.channels)

    def _joins_channels(self, layer: LayerFacts, axis: int) -> bool:
        is_joined = layer.wrapper is None and layer.config["axis"] % len(layer.output_shape) == axis
        # An input of a shared model comes from several layers.
        return is_joined and len(self.facts.graph.sources(layer.path)) == len(layer.input_shapes)

    def _check_that_nothing_else_sees(self, calls: Sequence[str]) -> None:
        graph = self.facts.graph
        for path in (*self._passed, *self._arrived):
            if graph.is_read_outside(path) or not set(graph.consumers(path)) <= {*self._passed, *calls}:
                raise _CannotFoldError("the layer before it is read by others too")

    def _unfit(self, layer: LayerFacts, passage: Passage) -> str | None:
        if layer.kind is Kind.ACTIVATION or layer.activation is not None:
            return "it stands after an activation"
        if layer.kind not in LINEAR_KINDS:
            return _NOT_LINEAR_BEFORE
        if passage.axis != layer.channel_axis:
            return f"its axis {passage.axis} is not the channel axis {layer.channel_axis} of the layer before it"
        return self._unfit_weights(layer)


class _WalkOn(_Walk):
    """To the layers whose inputs are mapped."""

    _where = "after"

    def _on(self, path: str, passage: Passage) -> Iterator[_Stop]:
        graph = self.facts.graph
        consumers = graph.consumers(path)
        if graph.is_read_outside(path) or not consumers:
            raise _CannotFoldError("its output leaves the model")
        for consumer in consumers:
            node, layer = graph.nodes[consumer], self.facts[consumer]
            if len(node.sources) != 1:
                raise _CannotFoldError(_NOT_LINEAR_AFTER)
            self._conditions |= _conditions_of_reading(layer)
            yield self._checked(_Stop(consumer, passage))

    def _past(self, layer: LayerFacts, passage: Passage) -> Passage | None:
        return passage_to_output(layer, passage.axis, passage.channels)

    def _check_that_nothing_else_sees(self, calls: Sequence[str]) -> None:
        seen = {*self._passed, *calls}
        if any(not set(self.facts.graph.producers(path)) <= seen for path in (*self._passed, *self._arrived)):
            raise _CannotFoldError("the layer after it reads others, too")

    def _unfit(self, layer: LayerFacts, passage: Passage) -> str | None:
        if layer.kind is Kind.ACTIVATION:
            return "an activation follows it"
        if layer.kind not in LINEAR_KINDS:
            return _NOT_LINEAR_AFTER
        if passage.axis != _input_axis(layer):
            return f"its axis {passage.axis} is not the channel axis {_input_axis(layer)} of the layer after it"
        return self._unfit_weights(layer)


_NOT_LINEAR_BEFORE = "it does not follow a convolution or dense layer"
_NOT_LINEAR_AFTER = "what reads it is not only convolutions and dense layers"


def _agree(first: Passage, second: Passage) -> bool:
    return first.axis == second.axis and np.array_equal(first.channels, second.channels)


def _input_axis(linear: LayerFacts) -> int:
    """Axis of the channels that a linear layer reads; all of them have as many axes behind them as before."""
    return linear.channel_axis


def _conditions_of_reading(layer: LayerFacts) -> frozenset[Condition]:
    """What a map before a linear layer has to fulfil: zeros at the border are zeros behind the map."""
    if layer.cls not in _FOLDABLE or layer.cls is layers.Dense:
        return frozenset()
    transposed = layer.cls.__name__.endswith("Transpose")
    pads = transposed or layer.config["padding"] != "valid"
    by_position = layer.is_pointwise and not (transposed and set(layer.config["strides"]) != {1})
    return frozenset({Condition.NO_SHIFT}) if pads and not by_position else frozenset()


def _computes_kernels(operation: Any) -> bool:
    """Whether a wrapper stands between the layer and its weights that cannot be baked into them."""
    while isinstance(operation, BAKEABLE):
        (operation,) = wrapped_layers(operation)
    return not works_by_itself(operation)


def _is_adapted(operation: Any) -> bool:
    """Whether a layer computes with more than its kernel: with scales of quantized values, or a low-rank update."""
    layer = core_layer(operation)
    return getattr(layer, "quantization_mode", None) is not None or bool(getattr(layer, "lora_enabled", False))
