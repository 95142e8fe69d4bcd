"""A model traced so that it returns what its layers return."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from advisor.export.signature import Signature
from advisor.graph import read_graph
from advisor.litert.calls import Call, calls_replaced

Key = tuple[str, int]
"""A layer's path and which of its outputs."""
Batch = Mapping[str, np.ndarray]
Values = Mapping[Key, np.ndarray]

# The converter computes these together with what comes before them, so that only their result is ever rounded.
_FUSED = frozenset({"Relu", "Relu6"})


@dataclass(frozen=True)
class Tap:
    """One output of one call of a layer.

    Attributes:
        layer: The layer's path; `output 'name'` for what is computed behind the last layer.
        cls: Name of its class.
        name: What it is returned by.
        shape: Its shape.
        dtype: Its dtype.
    """

    layer: str
    cls: str
    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Tapped:
    """A traced model that returns what its layers return.

    Attributes:
        function: The concrete function, inputs by name to taps by name.
        taps: The taps, in the order in which they are computed.
    """

    function: Any
    taps: Mapping[Key, Tap]

    def run(self, batch: Batch) -> Values:
        """The values of the taps in TensorFlow."""
        import tensorflow as tf

        # On the CPU, as the interpreter: GPUs may round float32 products to TF32.
        with tf.device("CPU:0"):
            values = self.function(**{name: tf.constant(array) for name, array in batch.items()})
        return self.by_key({name: value.numpy() for name, value in values.items()})

    def by_key(self, values: Mapping[str, np.ndarray]) -> Values:
        """Values by name as values by key."""
        return {key: values[tap.name] for key, tap in self.taps.items()}


def trace_taps(model: keras.Model, signature: Signature, outputs: tuple[str, ...]) -> Tapped:
    """Traces a model that returns the outputs of all its leaves, as far as they are real numbers.

    Left out are tensors inside loops and branches, tensors that a layer only hands on, and those that LiteRT computes
    together with the activation behind them.

    Args:
        model: A built model.
        signature: Its inputs.
        outputs: Names of its flat outputs.

    Returns:
        The traced model.
    """
    import tensorflow as tf

    taps: dict[Key, Tap] = {}

    def serve(**inputs: Any) -> dict[str, Any]:
        seen: dict[Key, tuple[str, Any]] = {}

        def note(key: Key, cls: str, tensor: Any) -> Any:
            seen[key] = (cls, tensor)
            return tensor

        with _results(model, note):
            result = model(signature.pack(inputs), training=False)
        here = tf.compat.v1.get_default_graph()
        seen = {key: found for key, found in seen.items() if not _is_fused(found[1], here)}
        seen.update((_output_key(name), (type(model).__name__, y)) for name, y in _by_name(outputs, result))
        tensors: dict[str, Any] = {}
        taken: set[str] = set()
        taps.clear()
        for key, (cls, tensor) in seen.items():
            if _can_be_tapped(tensor, here) and tensor.name not in taken:
                taken.add(tensor.name)
                tap = Tap(key[0], cls, f"tap_{len(taps)}", tuple(tensor.shape), tensor.dtype.name)
                taps[key], tensors[tap.name] = tap, tf.identity(tensor)
        return tensors

    return Tapped(tf.function(serve, autograph=False).get_concrete_function(**_specs(signature)), taps)


def trace_apart(model: keras.Model, signature: Signature, outputs: tuple[str, ...], among: Mapping[Key, Tap]) -> Tapped:
    """Traces a model whose layers read given values in the place of what the layers before them return.

    Args:
        model: A built model.
        signature: Its inputs.
        outputs: Names of its flat outputs.
        among: Taps of the model: their values are inputs, by their names, and what is returned for each is what its
            layer makes of the values of those before it.

    Returns:
        The traced model.
    """
    import tensorflow as tf

    computed: dict[Key, Any] = {}

    def serve(**inputs: Any) -> dict[str, Any]:
        def replace(key: Key, cls: str, tensor: Any) -> Any:
            if key not in among:
                return tensor
            computed[key] = tensor
            return inputs[among[key].name]

        with _results(model, replace):
            result = model(signature.pack(inputs), training=False)
        computed.update((_output_key(name), y) for name, y in _by_name(outputs, result) if _output_key(name) in among)
        return {among[key].name: tf.identity(tensor) for key, tensor in computed.items()}

    specs = {tap.name: tf.TensorSpec(tap.shape, tap.dtype, tap.name) for tap in among.values()}
    function = tf.function(serve, autograph=False).get_concrete_function(**_specs(signature), **specs)
    return Tapped(function, {key: among[key] for key in among if key in computed})


@contextmanager
def _results(model: keras.Model, change: Callable[[Key, str, Any], Any]) -> Iterator[None]:
    """Hands every output of every leaf to a function that says what is passed on in its place."""
    graph = read_graph(model)
    leaves = {id(node.operation): node for node in graph.leaves() if not node.is_input}
    paths = {number: graph.calls_of(node.path) for number, node in leaves.items()}
    calls: Counter[int] = Counter()

    def watch(operation: Any, original: Call) -> Call:
        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            known = paths[id(operation)]
            calls[id(operation)] += 1
            number = calls[id(operation)]
            path = known[number - 1] if number <= len(known) else f"{known[0]}#{number}"
            flat = keras.tree.flatten(result)
            changed = [change((path, index), type(operation).__name__, tensor) for index, tensor in enumerate(flat)]
            return keras.tree.pack_sequence_as(result, changed)

        return watched

    with calls_replaced([node.operation for node in leaves.values()], watch):
        yield


def _specs(signature: Signature) -> dict[str, Any]:
    import tensorflow as tf

    return {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype, tensor.name) for tensor in signature.inputs}


def _output_key(name: str) -> Key:
    return (f"output '{name}'", 0)


def _by_name(outputs: tuple[str, ...], result: Any) -> list[tuple[str, Any]]:
    return list(zip(outputs, keras.tree.flatten(result), strict=True))


def _can_be_tapped(tensor: Any, graph: Any) -> bool:
    # What was made inside a loop or a branch belongs to another graph.
    return getattr(tensor, "graph", None) is graph and tensor.dtype.is_floating and tensor.shape.is_fully_defined()


def _is_fused(tensor: Any, graph: Any) -> bool:
    if not _can_be_tapped(tensor, graph):
        return False
    consumers = tensor.consumers()
    return len(consumers) == 1 and consumers[0].type in _FUSED
