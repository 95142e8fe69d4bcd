"""Reading the calls of models and layers that are Python code, by running the code on symbolic tensors."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from advisor.graph import keras_internals as internals

Shape = tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Trace:
    """The calls that a `call` makes.

    Attributes:
        calls: Each after the calls it depends on, the inputs among them.
        structure: The symbolic inputs in the structure that `call` takes them in.
        inputs: The symbolic inputs, flat.
        outputs: The symbolic outputs, flat.
    """

    calls: tuple[internals.RecordedCall, ...]
    structure: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


def trace_model(model: Any) -> Trace | None:
    """The calls of a model that was called or built on known shapes.

    Args:
        model: A subclassed model; it stays as it is.

    Returns:
        The trace; None where shapes are not known, or `call` depends on values or does what symbolic tensors cannot.
    """
    config = model.get_build_config() or {}
    shapes = config.get("shapes_dict") or {"": config.get("input_shape")}
    if not shapes or any(shape is None for shape in shapes.values()):
        return None
    # Code that looks at the batch size runs with the one it was first called with.
    for batch_of in (lambda size: None, lambda size: size):
        trace = _traced_from(model, shapes, batch_of)
        if trace is not None:
            return trace
    return None


def trace_layer(layer: Any, call: internals.RecordedCall) -> Trace | None:
    """The calls inside a layer, as one recorded call of it makes them.

    Args:
        layer: A hand-written layer; it stays as it is.
        call: A call of the layer.

    Returns:
        The trace, its inputs in the order of the call's tensors; None where it cannot be read, or gives anything but
        as many tensors as the call did.
    """

    def make() -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        new = {id(tensor): _like(tensor, f"input_{index}") for index, tensor in enumerate(call.inputs)}
        args, kwargs = keras.tree.map_structure(lambda leaf: new.get(id(leaf), leaf), (call.args, call.kwargs))
        return [new[id(tensor)] for tensor in call.inputs], args, kwargs

    trace = _traced(layer, make)
    return trace if trace is not None and len(trace.outputs) == len(call.outputs) else None


def _traced_from(model: Any, shapes: Mapping[str, Any], batch_of: Callable[[Any], Any]) -> Trace | None:
    trace = _traced(model, lambda: _arguments(shapes, batch_of, set()))
    if trace is None:
        return None
    tokens = {index for index, tensor in enumerate(trace.inputs) if _is_token(tensor, trace)}
    return _traced(model, lambda: _arguments(shapes, batch_of, tokens)) if tokens else trace


def _arguments(
    shapes: Mapping[str, Any], batch_of: Callable[[Any], Any], tokens: set[int]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    count = 0

    def symbolic(shape: Any) -> Any:
        nonlocal count
        count += 1
        shape = (batch_of(shape[0]), *shape[1:]) if shape else ()
        dtype = "int32" if count - 1 in tokens else None
        return keras.Input(batch_shape=shape, dtype=dtype, name=f"input_{count}" if count > 1 else "input")

    made = {name.removesuffix("_shape"): keras.tree.map_shape_structure(symbolic, shapes[name]) for name in shapes}
    if len(made) == 1:
        (inputs,) = made.values()
        return inputs, (inputs,), {}
    return made, (), made


def _is_token(tensor: Any, trace: Trace) -> bool:
    """Whether an embedding reads the tensor, so that it holds whole numbers; no type is recorded."""
    readers = (call.operation for call in trace.calls if any(read is tensor for read in call.inputs))
    return any(isinstance(reader, keras.layers.Embedding) for reader in readers)


def _like(tensor: Any, name: str) -> Any:
    new = keras.Input(batch_shape=tuple(tensor.shape), dtype=tensor.dtype, sparse=bool(tensor.sparse), name=name)
    mask = internals.keras_mask(tensor)
    if mask is not None:
        internals.attach_mask(new, _like(mask, f"{name}_mask"))
    return new


def _traced(owner: Any, make: Callable[[], tuple[Any, tuple[Any, ...], dict[str, Any]]]) -> Trace | None:
    try:
        with (
            warnings.catch_warnings(),
            internals.fresh_names(),
            internals.deferred_variables(),
            internals.left_as_it_is(owner),
        ):
            warnings.simplefilter("ignore")
            structure, args, kwargs = make()
            outputs = keras.tree.flatten(owner.call(*args, **kwargs, **_undecided(owner, kwargs)))
            inputs = keras.tree.flatten(structure)
            if not outputs or not all(isinstance(output, keras.KerasTensor) for output in outputs):
                return None
            masks = [mask for mask in map(internals.keras_mask, inputs) if mask is not None]
            calls = internals.calls_between([*inputs, *masks], outputs)
            return Trace(tuple(calls), structure, tuple(inputs), tuple(outputs))
    except Exception:
        # The code may raise anything: symbolic tensors have no values, and only `keras.ops` takes them.
        return None


def _undecided(owner: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """`training=None`, so that the calls recorded are those of training and inference alike."""
    parameters = inspect.signature(owner.call).parameters
    return {"training": None} if "training" in parameters and "training" not in given else {}
