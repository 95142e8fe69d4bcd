"""How far every layer of an exported model is from the same layer in Keras."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.export.errors import ExportError
from advisor.export.samples import Samples
from advisor.export.signature import Signature
from advisor.graph.model_graph import read_graph
from advisor.litert.calls import Call, calls_replaced
from advisor.litert.conversion import convert_function
from advisor.litert.interpreter import LiteRTModel
from advisor.litert.lowering import Lowering, lowered
from advisor.litert.quantization import Quantization

LAYER_SAMPLES = 16
"""Samples the layers are compared on: each has all its values, so few samples make a sound figure."""
# The converter computes these together with what comes before them, so that only their result is ever rounded.
_FUSED = frozenset({"Relu", "Relu6"})


@dataclass(frozen=True)
class LayerError:
    """The error of one output of a layer.

    Attributes:
        layer: The layer's path in the model; `output 'name'` for what is computed behind the last layer.
        cls: Its class.
        relative_rms: `‖y - k‖ / ‖k‖` over the samples, `k` from Keras and `y` from the exported model.
        max_relative: `max|y - k| / max|k|`.
        added: What the layer itself added: `√max(0, e² - ê²)`, `e` its relative RMS error and `ê` the largest of those
            that it reads. Errors that are independent add up so.
    """

    layer: str
    cls: str
    relative_rms: float
    max_relative: float
    added: float


@dataclass(frozen=True)
class _Tap:
    layer: str
    cls: str
    tensor: Any


_Key = tuple[str, int]
Batch = Mapping[str, np.ndarray]
Values = Mapping[_Key, np.ndarray]


@dataclass(frozen=True)
class _Tapped:
    """A function that returns what the layers return, each under a name of its own, in the order of execution."""

    function: Any
    taps: Mapping[_Key, _Tap]
    names: Mapping[_Key, str]

    def run(self, batch: Batch) -> Values:
        """The values in TensorFlow."""
        import tensorflow as tf

        with tf.device("CPU:0"):
            values = self.function(**{name: tf.constant(array) for name, array in batch.items()})
        return self.by_key({name: value.numpy() for name, value in values.items()})

    def by_key(self, values: Mapping[str, np.ndarray]) -> Values:
        return {key: values[name] for key, name in self.names.items()}


def layer_errors(
    model: keras.Model,
    signature: Signature,
    samples: Samples,
    outputs: tuple[str, ...],
    *,
    lowering: Lowering,
    quantization: Quantization | None = None,
    allow_flex: bool = False,
) -> tuple[LayerError, ...]:
    """Converts a model once more so that it returns what every layer does, and compares that with Keras.

    What is computed inside loops cannot be returned; the layer around the loop is compared.

    Args:
        model: The prepared model.
        signature: Its inputs.
        samples: Inputs to compare on; `LAYER_SAMPLES` of them are used.
        outputs: Names of its outputs.
        lowering: The forms it was converted in.
        quantization: The precision it was converted in.
        allow_flex: As it was converted.

    Returns:
        The errors, in the order in which the layers are computed.

    Raises:
        ExportError: If the model cannot be converted so.
    """
    own = _trace_taps(model, signature, outputs)
    with lowered(model, lowering):
        shipped = _trace_taps(model, signature, outputs)
    try:
        runner = LiteRTModel(convert_function(shipped.function, allow_flex=allow_flex, quantization=quantization))
    except Exception as error:
        raise ExportError(
            f"Model '{model.name}' cannot be converted so that all its layers can be compared. Received: {error}"
        ) from error
    pairs = [_Pair(key, key) for key in own.taps if key in shipped.taps and _alike(own.taps[key], shipped.taps[key])]
    gaps = _gaps(pairs, own.run, lambda batch: shipped.by_key(runner(batch)), signature, samples)
    return _errors(own, {pair.expected: gap for pair, gap in gaps.items()})


def preparation_errors(
    given: keras.Model, prepared: keras.Model, signature: Signature, samples: Samples, outputs: tuple[str, ...]
) -> tuple[LayerError, ...]:
    """Compares the layers of a model and of its prepared copy, both in Keras.

    A layer that something was folded into computes what the layers did together, so that it is held against those, too.

    Args:
        given: The model as it was given.
        prepared: Its prepared copy.
        signature: The inputs of both.
        samples: Inputs to compare on; `LAYER_SAMPLES` of them are used.
        outputs: Names of their outputs.

    Returns:
        The errors of the prepared model's layers, in the order in which they are computed.
    """
    before, after = _trace_taps(given, signature, outputs), _trace_taps(prepared, signature, outputs)
    removed = {key for key in before.taps if key not in after.taps}
    sources = _sources(before, set(before.taps))
    pairs = [
        _Pair(old, key)
        for key in after.taps
        if key in before.taps
        for old in _with_removed(key, removed, sources)
        if _alike(before.taps[old], after.taps[key])
    ]
    nearest: dict[_Key, _Gap] = {}
    for pair, gap in _gaps(pairs, before.run, after.run, signature, samples).items():
        if pair.received not in nearest or gap.relative_rms < nearest[pair.received].relative_rms:
            nearest[pair.received] = gap
    return _errors(after, nearest)


@dataclass(frozen=True)
class _Pair:
    """The taps of two functions that are to agree."""

    expected: _Key
    received: _Key


def _with_removed(key: _Key, removed: set[_Key], sources: Mapping[_Key, set[_Key]]) -> list[_Key]:
    """A tap and those behind it, one after the other, that are gone."""
    chain = [key]
    while True:
        following = [other for other in removed if sources[other] == {chain[-1]} and other not in chain]
        if len(following) != 1:
            return chain
        chain.extend(following)


def _gaps(
    pairs: Sequence[_Pair],
    run_expected: Callable[[Batch], Values],
    run_received: Callable[[Batch], Values],
    signature: Signature,
    samples: Samples,
) -> dict[_Pair, _Gap]:
    gaps = {pair: _Gap() for pair in pairs}
    for batch in samples.first(LAYER_SAMPLES).batches(signature.batch_size):
        expected, received = run_expected(batch), run_received(batch)
        for pair, gap in gaps.items():
            gap.add(expected[pair.expected], received[pair.received])
    return gaps


def _errors(tapped: _Tapped, gaps: Mapping[_Key, _Gap]) -> tuple[LayerError, ...]:
    sources = _sources(tapped, set(gaps))
    errors = {key: gap.relative_rms for key, gap in gaps.items()}
    found = []
    for key in (key for key in tapped.taps if key in gaps):
        carried = max((errors[source] for source in sources[key]), default=0.0)
        added = math.sqrt(max(0.0, errors[key] ** 2 - carried**2))
        tap = tapped.taps[key]
        found.append(LayerError(tap.layer, tap.cls, errors[key], gaps[key].max_relative, added))
    return tuple(found)


class _Gap:
    """Sums and maxima of two arrays' difference, over batches."""

    def __init__(self) -> None:
        self.squares = self.expected_squares = self.largest = self.expected_largest = 0.0

    def add(self, expected: np.ndarray, received: np.ndarray) -> None:
        a, b = expected.astype(np.float64), received.astype(np.float64)
        finite = np.isfinite(a)
        with np.errstate(invalid="ignore"):
            gap = np.nan_to_num(np.abs(a - b)[finite], nan=np.inf)
        self.squares += float((gap**2).sum())
        self.expected_squares += float((a[finite] ** 2).sum())
        self.largest = max(self.largest, float(gap.max(initial=0.0)))
        self.expected_largest = max(self.expected_largest, float(np.abs(a[finite]).max(initial=0.0)))

    @property
    def relative_rms(self) -> float:
        return math.sqrt(self.squares / (self.expected_squares or 1.0))

    @property
    def max_relative(self) -> float:
        return self.largest / (self.expected_largest or 1.0)


def _alike(first: _Tap, second: _Tap) -> bool:
    return bool(first.tensor.shape == second.tensor.shape)


def _trace_taps(model: keras.Model, signature: Signature, outputs: tuple[str, ...]) -> _Tapped:
    """Traces a model that returns the outputs of all its leaves, as far as they are real numbers."""
    import tensorflow as tf

    graph = read_graph(model)
    leaves = {id(node.operation): node for node in reversed(list(graph.leaves())) if not node.is_input}
    paths = {key: graph.calls_of(node.path) for key, node in leaves.items()}
    taps: dict[_Key, _Tap] = {}
    names: dict[_Key, str] = {}

    def serve(**inputs: Any) -> dict[str, Any]:
        taps.clear()
        calls: Counter[int] = Counter()
        seen: list[tuple[str, str, Any]] = []

        def tap(operation: Any, original: Call) -> Call:
            @functools.wraps(original)
            def tapped(*args: Any, **kwargs: Any) -> Any:
                result = original(*args, **kwargs)
                number, known = calls[id(operation)], paths[id(operation)]
                calls[id(operation)] += 1
                path = known[number] if number < len(known) else f"{known[0]}#{number + 1}"
                seen.append((path, type(operation).__name__, result))
                return result

            return tapped

        with calls_replaced([node.operation for node in leaves.values()], tap):
            result = model(signature.pack(inputs), training=False)
        here = tf.compat.v1.get_default_graph()
        taken: set[str] = set()
        for path, cls, results in seen:
            for index, tensor in enumerate(keras.tree.flatten(results)):
                if _can_be_tapped(tensor, here) and tensor.name not in taken and not _is_fused(tensor):
                    taken.add(tensor.name)
                    taps[path, index] = _Tap(path, cls, tensor)
        for name, tensor in zip(outputs, keras.tree.flatten(result), strict=True):
            if _can_be_tapped(tensor, here) and tensor.name not in taken:
                taken.add(tensor.name)
                taps[f"output '{name}'", 0] = _Tap(f"output '{name}'", type(model).__name__, tensor)
        names.update((key, f"tap_{number}") for number, key in enumerate(taps))
        return {names[key]: tf.identity(tap.tensor) for key, tap in taps.items()}

    specs = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype, tensor.name) for tensor in signature.inputs}
    return _Tapped(tf.function(serve, autograph=False).get_concrete_function(**specs), taps, names)


def _can_be_tapped(tensor: Any, graph: Any) -> bool:
    # What was made inside a loop or a branch belongs to another graph.
    return getattr(tensor, "graph", None) is graph and tensor.dtype.is_floating and tensor.shape.is_fully_defined()


def _is_fused(tensor: Any) -> bool:
    consumers = tensor.consumers()
    return len(consumers) == 1 and consumers[0].type in _FUSED


def _sources(tapped: _Tapped, among: set[_Key]) -> dict[_Key, set[_Key]]:
    """For every tap those that it is computed from, with no other in between."""
    by_tensor = {tap.tensor.name: key for key, tap in tapped.taps.items() if key in among}
    found: dict[_Key, set[_Key]] = {}
    for key in among:
        frontier = list(tapped.taps[key].tensor.op.inputs)
        seen: set[str] = set()
        found[key] = set()
        while frontier:
            tensor = frontier.pop()
            if tensor.name in seen:
                continue
            seen.add(tensor.name)
            if tensor.name in by_tensor:
                found[key].add(by_tensor[tensor.name])
            else:
                frontier.extend(tensor.op.inputs)
    return found
